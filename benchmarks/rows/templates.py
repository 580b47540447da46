"""Templates: the prompts of all chat templates in llama.cpp's source, against `llama-server`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.conversations import CONVERSATIONS, REFUSED, digest, prompt, templates
from benchmarks.lab import Lab
from benchmarks.report import Row
from benchmarks.servers import served

DEMO = Path(__file__).parents[2] / "models" / "demo.gguf"
RECORDED = Path(__file__).parents[2] / "tests" / "golden" / "prompts.json"
GENERIC = "You can call these tools, described as JSON:"
"""Begins our description of tools where a template has no place for them; the peer leaves the tools
out."""


def measure(lab: Lab) -> list[Row]:
    """Count the prompts that are equal, and record the hashes of the peer's for the tests."""
    equal, compared, generic = 0, 0, 0
    recorded: dict[str, dict[str, str]] = {}
    server = lab.peers.server
    for template in templates():
        file = ["--chat-template-file", template, "-c", 256]
        with (
            served([server, "-m", DEMO, *file]) as peer,
            served([lab.stub, "serve", "-m", DEMO, "--chat-template", template]) as own,
        ):
            for name, conversation in CONVERSATIONS.items():
                expected, found = prompt(peer, conversation), prompt(own, conversation)
                if GENERIC in found:
                    generic += 1
                    continue
                compared += 1
                equal += found == expected
                recorded.setdefault(template.name, {})[name] = (
                    REFUSED if expected == REFUSED else digest(expected)
                )
                if found != expected:
                    print(f"{template.name}, {name}: another prompt", file=sys.stderr)
    RECORDED.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    return [
        Row(
            "prompts equal to the peer's",
            "",
            (equal / compared,),
            peer_name="llama-server",
            target=0.99,
            at_least=True,
            note=f"{equal} of {compared}; {generic} with tools described by us are left out",
        )
    ]
