"""Where a schema and tools are given, a model may answer or call, in the forms of all families."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_templates import HERMES
from families import ASKED, NOT_READ, SOURCES, TIME, TOOLS, template_of, written
from ggufs import CHATML
from grammars import Grammar

from runtime.chat_format import chat_template
from runtime.chat_format.answer_or_call import OF_CALLS
from runtime.chat_format.answer_reader import Delta
from runtime.chat_format.chat_template import FormattedPrompt, Template, TemplateInputs
from runtime.chat_format.prompt import format_prompt

SCHEMA = {
    "type": "object",
    "properties": {"zebra": {"enum": ["a", "b"]}},
    "required": ["zebra"],
    "additionalProperties": False,
}
ANSWER = '{"zebra": "a"}'


ANSWERING = (
    # There is a form of its own for answers by a schema.
    "google-gemma-4-31B-it", "google-gemma-4-31B-it-interleaved", "muse-glimmer",
    "openai-gpt-oss-120b",
    # The grammar of calls does not end in a rule for them.
    "Cohere2MoE", "Kimi-K3", "MiniMax-M3", "inclusionai-ling-3.0-flash",
    "meetkai-functionary-medium-v3.2", "openbmb-MiniCPM5-1B",
)  # fmt: skip
"""Families that only answer."""


def formatted(template: Template, **fields: Any) -> FormattedPrompt:
    asked = {"messages": ASKED, "tools": TOOLS[1:2], "json_schema": SCHEMA, **fields}
    return format_prompt(template, TemplateInputs(**asked))


def read(prompt: FormattedPrompt, text: str) -> Delta:
    reader, whole = prompt.reader(), Delta()
    for character in text:
        whole.add(reader.feed(character, last=False))
    whole.add(reader.feed("", last=True))
    return whole


def allows_both(prompt: FormattedPrompt) -> bool:
    return bool(prompt.form) and f" {OF_CALLS}" in prompt.form.grammar


@pytest.mark.parametrize("source", [HERMES, CHATML], ids=["native", "generic"])
def test_the_grammar_allows_both(source: str) -> None:
    template = chat_template.from_text(source)
    form = formatted(template).form
    assert form and not form.lazy
    grammar = Grammar(form.grammar)
    texts = {grammar.example(seed).removeprefix(form.prompt_end) for seed in range(40)}
    texts = {text.rpartition("</think>")[2].strip() for text in texts}
    calls = {text for text in texts if text.startswith("<tool_call>")}
    assert calls and texts - calls
    assert {"a", "b"} >= {json.loads(text)["zebra"] for text in texts - calls}
    assert all("get_time" in text for text in calls)


@pytest.mark.parametrize("source", [HERMES, CHATML], ids=["native", "generic"])
def test_what_must_or_must_not_be_called(source: str) -> None:
    template = chat_template.from_text(source)
    assert not allows_both(formatted(template, tool_choice="none"))
    called = formatted(template, tool_choice="required")
    assert called.form and not allows_both(called)
    assert "zebra" not in called.form.grammar


@pytest.mark.parametrize("name", SOURCES)
def test_both_are_read(name: str) -> None:
    template = template_of(name)
    prompt = formatted(template)
    if name in ANSWERING:
        assert prompt.form and "zebra" in prompt.form.grammar and not allows_both(prompt)
        return
    assert allows_both(prompt)
    found = read(prompt, ANSWER)
    assert [] == found.calls
    assert (found.reasoning + found.content).endswith(ANSWER)  # where the prompt begins reasoning
    call = {"content": "", "tool_calls": [TIME]}
    text = written(template, call)
    if text and (name, "call") not in NOT_READ:
        assert ["get_time"] == [one.name for one in read(prompt, text).calls if one.name]
