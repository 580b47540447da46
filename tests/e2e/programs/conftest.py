"""A server that says what the test of each program wants, with room for their long prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import repertoire
from chat_templates import HERMES
from program import Program
from servers import Served, serve

HELLO, AFTER = "Hello there, Zoë.", "It is done, and well."
SHOWN = "echo from the shell; echo '<|say'' after|>'"
"""A command that prints the cue for the second answer, and is none itself."""
POSITIONS = 1 << 17


def call(name: str, **arguments: Any) -> str:
    """Return what a model writes to call a tool."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


SAYS = (
    {
        "hello": HELLO,
        "weather": call("weather", city="Rome", days=3),
        "codex": call("exec_command", cmd=SHOWN),
        "claude": call("Bash", command=SHOWN, description="Say it"),
        "opencode": call("bash", command=f"{SHOWN} # here"),
    },
    {"after": AFTER},
)


@pytest.fixture(scope="module")
def server(modelembed: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("programs")
    model = folder / "talker.gguf"
    repertoire.write(model, *SAYS, template=HERMES, positions=POSITIONS)
    done = modelembed(
        "bundle", str(model), "-o", str(folder / "talker"), "--compress", "none", "--no-check",
        "--set", "temp=0",
    )  # fmt: skip
    assert done.code == 0, done.err
    model.unlink()
    with serve(Program(folder / "talker"), "-np", "1", "-c", str(POSITIONS)) as running:
        yield running
        assert "error:" not in "".join(running.said)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of its own for a program, with a folder to work in."""
    (tmp_path / "work").mkdir()
    return tmp_path
