"""All chat templates in llama.cpp's source make the prompts that llama-server makes of them.

The hashes are recorded by `python -m benchmarks.run templates`, which needs that program.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engines import demo, in_child
from msgspec import convert

from benchmarks.conversations import CONVERSATIONS, REFUSED, digest, templates
from runtime.chat_format import chat_template
from runtime.chat_format.prompt import format_prompt
from runtime.errors import ModelError
from runtime.options.registry import Options
from runtime.server.protocols.openai_types import ChatRequest
from runtime.server.protocols.template_inputs import template_inputs
from runtime.server.service.media_input import MediaInput

RECORDED: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "prompts.json").read_text()
)


def made(template: chat_template.Template, conversation: dict[str, Any]) -> str:
    request = convert(conversation, ChatRequest)
    try:
        text = format_prompt(
            template, template_inputs(request, Options(), MediaInput(None, None))
        ).text
    except ModelError:
        return REFUSED
    return digest(text)


@pytest.mark.parametrize("name", RECORDED)
@in_child
def test_prompts_are_the_peers(name: str) -> None:
    source = next(path for path in templates() if path.name == name).read_text(encoding="utf-8")
    model = demo()  # llama-server was asked with it
    template = chat_template.from_text(source, bos=model.bos, eos=model.eos)
    # What llama-server refuses, as for ids of calls that are too long, is answered here.
    expected = {key: text for key, text in RECORDED[name].items() if text != REFUSED}

    assert expected == {key: made(template, CONVERSATIONS[key]) for key in expected}
