"""What models of all families write comes apart: reasoning, content and calls, whole and streamed.

A parrot says it, so that the engine's grammars and triggers are in it.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from engines import GREEDY, demo, in_child
from families import (
    ANSWERS,
    ASKED,
    NOT_READ,
    SOURCES,
    TOOLS,
    Call,
    expected,
    template_of,
    tool,
    written,
)
from parrot import POSITIONS, Parrot

from runtime.chat_format.answer_reader import AnswerReader, Delta
from runtime.chat_format.chat_template import TemplateInputs
from runtime.chat_format.prompt import format_prompt
from runtime.inference.answer_form import AnswerForm
from runtime.inference.scheduler import Scheduler

SAID = (
    "Qwen3-0.6B", "Qwen3-Coder", "DeepSeek-V3.1", "GLM-4.6",
    "Mistral-Small-3.2-24B-Instruct-2506", "Mistral-Nemo-Instruct-2407", "granite-4.0",
    "Llama-3.1-8B-Instruct", "Kimi-K2", "MiniMax-M2", "Hermes-3-Llama-3.1-8B-tool_use",
    "command-r7b-12-2024-tool_use", "functionary-medium-v3.1", "Apertus-8B-Instruct",
)  # fmt: skip
CUTS = 1
LONG = dataclasses.replace(GREEDY, n_predict=700)


def apart(reader: AnswerReader, pieces: Sequence[str]) -> tuple[str, str, list[Call]]:
    """Return reasoning, content and calls of an answer that comes in `pieces`."""
    whole = Delta()
    for number, piece in enumerate(pieces):
        whole.add(reader.feed(piece, last=number == len(pieces) - 1))
    names, arguments = {}, dict.fromkeys((one.index for one in whole.calls), "")
    for delta in whole.calls:
        assert not delta.name or names.setdefault(delta.index, delta.name) == delta.name
        arguments[delta.index] += delta.arguments
    calls = [(names[index], json.loads(text)) for index, text in arguments.items()]
    return whole.reasoning.strip(), whole.content.strip(), calls


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_family_writes_comes_apart(name: str) -> None:
    template = template_of(name)
    if not template.calls_tools:
        pytest.skip("tools are described to it by us")
    if not any(written(template, answer) for answer in ANSWERS.values()):
        pytest.skip("its template does not tell what it writes")
    prompt = format_prompt(template, TemplateInputs(messages=ASKED, tools=TOOLS))
    for kind, answer in ANSWERS.items():
        text = written(template, answer)
        if text is None or (name, kind) in NOT_READ:
            continue
        assert expected(answer) == apart(prompt.reader(), [text]), kind
        if kind != "call of all types":  # the longest, and each letter costs a look at all before
            assert expected(answer) == apart(prompt.reader(), [*text, ""]), kind


@pytest.mark.parametrize("name", SOURCES)
def test_where_an_answer_is_cut_into_pieces_does_not_matter(name: str) -> None:
    template, random = template_of(name), Random(name)
    if not any(written(template, answer) for answer in ANSWERS.values()):
        pytest.skip("its template does not tell what it writes")
    prompt = format_prompt(template, TemplateInputs(messages=ASKED, tools=TOOLS))
    for kind, answer in ANSWERS.items():
        text = written(template, answer)
        if text is None or (name, kind) in NOT_READ:
            continue
        for _ in range(CUTS):
            cuts = sorted(random.choices(range(len(text) + 1), k=random.randint(1, 12)))
            edges = itertools.pairwise([0, *cuts, len(text)])
            pieces = [text[begin:end] for begin, end in edges]
            assert expected(answer) == apart(prompt.reader(), pieces), (kind, pieces)


@pytest.mark.parametrize("name", [one for one in SOURCES if one.endswith(SAID)])
def test_no_second_call_where_one_is_asked_for(name: str) -> None:
    template, answer = template_of(name), ANSWERS["two calls"]
    inputs = TemplateInputs(messages=ASKED, tools=TOOLS, parallel_tool_calls=False)
    if text := written(template, answer):
        prompt = format_prompt(template, inputs)
        assert expected(answer)[2][:1] == apart(prompt.reader(), [*text, ""])[2]


BROKEN = ("Qwen-Qwen3-0.6B", "GLM-4.6", "functionary-medium-v3.1", "DeepSeek-V3.1", "MiniMax-M3")


@pytest.mark.parametrize("name", [one for one in SOURCES if one.endswith(BROKEN)])
def test_an_answer_that_leaves_the_form(name: str) -> None:
    template = template_of(name)
    prompt = format_prompt(template, TemplateInputs(messages=ASKED, tools=TOOLS))

    def read(text: str) -> tuple[str, str, list[Call]]:
        """Return its parts, the same however it comes."""
        half = len(text) // 2
        found = apart(prompt.reader(), [text])
        assert found == apart(prompt.reader(), [*text, ""])
        assert found == apart(prompt.reader(), [text[:half], text[half:]])
        return found

    text = written(template, ANSWERS["content and call"])
    assert text
    reasoning, content, calls = read(text.replace("get_time", "get_tide"))
    assert "" == reasoning
    assert content.startswith("Let me see.")
    assert "get_tide" in content and "UTC" in content  # nothing is lost
    assert [] == calls
    text = written(template, ANSWERS["two calls"])
    assert text
    calls = expected(ANSWERS["two calls"])[2]
    assert ("", "", calls) == read(text + " and then?")
    assert ("", "", calls[:1]) == read(text.replace("get_time", "get_tide"))


@pytest.mark.parametrize("name", [one for one in SOURCES if one.endswith(BROKEN)])
def test_a_call_that_is_cut_is_not_made_whole(name: str) -> None:
    template = template_of(name)
    prompt = format_prompt(template, TemplateInputs(messages=ASKED, tools=TOOLS))
    text = written(template, ANSWERS["rich call"]) or written(template, ANSWERS["call"])
    assert text
    for size in range(text.index("get_weather"), text.rindex("3")):
        delta = prompt.reader().feed(text[:size], last=True, cut=True)
        assert "" == delta.content.strip()
        arguments = "".join(one.arguments for one in delta.calls)
        with pytest.raises(ValueError, match=r"."):
            json.loads(arguments)


def test_most_families_are_tried() -> None:
    tried = {
        name
        for name in SOURCES
        if (template := template_of(name)).calls_tools and written(template, ANSWERS["call"])
    }
    assert len(tried) >= 40


@pytest.mark.parametrize("name", [one for one in SOURCES if one.endswith(SAID)])
@in_child
def test_what_a_parrot_says_through_the_engine(name: str, tmp_path: Path) -> None:
    template = template_of(name)
    for kind in ("call", "content and call", "reasoning"):
        text = written(template, ANSWERS[kind])
        if text is None or (name, kind) in NOT_READ:
            continue
        prompt = format_prompt(template, TemplateInputs(messages=ASKED, tools=TOOLS))
        parrot = Parrot(prompt.form.shown_tokens if prompt.form else ())
        tokens = parrot.tokens(prompt.text)
        model = demo(parrot.write(tmp_path / f"{kind}.gguf", {len(tokens): text}))
        assert tokens == model.tokenize(prompt.text, beginning=True)
        engine = Scheduler(model, GREEDY, POSITIONS)
        try:
            pieces = [piece.text for piece in engine.submit(tokens, LONG, form=prompt.form)]
        finally:
            engine.close()
        said = "".join(pieces)
        assert said and text.startswith(said), kind  # grammars end before an end-of-turn token
        assert expected(ANSWERS[kind]) == apart(prompt.reader(), [*pieces, ""]), kind


@pytest.mark.parametrize("name", SOURCES)
@in_child
def test_a_required_call_is_valid_whatever_the_model_says(name: str, tmp_path: Path) -> None:
    city = tool("get_weather")
    city["function"]["parameters"] = {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
    }
    inputs = TemplateInputs(
        messages=ASKED,
        tools=[city],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    prompt = format_prompt(template_of(name), inputs)
    assert prompt.form
    parrot = Parrot(prompt.form.shown_tokens)
    tokens = parrot.tokens(prompt.text)
    says = {len(tokens): "I would rather talk. " * 3}
    model = demo(parrot.write(tmp_path / "parrot.gguf", says))
    engine = Scheduler(model, GREEDY, POSITIONS)
    try:
        pieces = [piece.text for piece in engine.submit(tokens, LONG, form=prompt.form)]
    finally:
        engine.close()
        os.unlink(tmp_path / "parrot.gguf")
    text = "".join(pieces)
    first: dict[str, str] = {}
    reader = prompt.reader()
    for delta in [*(reader.feed(one, last=False) for one in text), reader.feed("", last=True)]:
        for one in delta.calls:
            if one.index == 0:  # more may follow, and the last be cut
                first["name"] = first.get("name") or one.name
                first["arguments"] = first.get("arguments", "") + one.arguments
    assert "get_weather" == first["name"]
    assert json.loads(first["arguments"])["city"] in ("Paris", "Rome")


ODD: dict[str, dict[str, Any]] = {
    "untyped": {},
    "described": {"description": "Any value."},
    "list of anything": {"type": "array"},
    "list of untyped": {"type": "array", "items": {}},
    "list of lists": {"type": "array", "items": {"type": "array"}},
    "object of anything": {"type": "object"},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}},
    "numbers": {"enum": [1, 2.5, None]},
    "constant": {"const": "x"},
    "types": {"type": ["string", "null"]},
    "either": {"anyOf": [{"type": "string"}, {"type": "array", "items": {}}, {"type": "null"}]},
    "one of": {"oneOf": [{"type": "integer"}, {"$ref": "#/$defs/Node"}]},
    "reference": {"$ref": "#/$defs/Node"},
    "tuple": {"type": "array", "prefixItems": [{"type": "string"}, {}]},
    "bounds": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
    "no text": {"type": "string", "pattern": "^(a|b)+$", "format": "uri", "minLength": 2},
    "true": True,  # type: ignore[dict-item]
}
NODE = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
}


@pytest.mark.parametrize("name", SOURCES)
def test_no_tool_is_refused(name: str) -> None:
    template = template_of(name)

    def form_of(properties: dict[str, Any], **more: Any) -> AnswerForm | None:
        parameters = {"type": "object", "properties": properties, "$defs": {"Node": NODE}}
        function = {"name": "odd", "parameters": {**parameters, "required": [*properties]}}
        asked = TemplateInputs(
            messages=ASKED, tools=[{"type": "function", "function": function}], **more
        )
        prompt = format_prompt(template, asked)
        # Like llama-server, we leave it to the user where a template only knows calls.
        assert "odd" in prompt.text or not template.capabilities["supports_tools"]
        return prompt.form

    together = {f"p{number}": schema for number, schema in enumerate(ODD.values())}
    for properties in (together, {"a": ODD["untyped"]}, {"a": ODD["list of anything"]}):
        form_of(properties)
    for properties in (together, {}):
        form = form_of(properties, tool_choice="required")
        assert form and form.grammar and not form.lazy
