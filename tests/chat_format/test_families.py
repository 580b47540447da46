"""What models of all families write comes apart: reasoning, content and calls, whole and streamed.

What a model writes is taken from its template: as that writes an earlier turn of the assistant, the
model writes its next one. A parrot says it, so that the engine's grammars and triggers are in it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from engines import GREEDY, demo, in_child
from parrot import POSITIONS, Parrot

from benchmarks.conversations import templates
from runtime.chat_format import chat_template
from runtime.chat_format.answer_reader import AnswerReader, Delta
from runtime.chat_format.chat_template import Template, TemplateInputs
from runtime.chat_format.prompt import format_prompt
from runtime.errors import ModelError
from runtime.inference.answer_form import AnswerForm
from runtime.inference.scheduler import Scheduler

LONG = dataclasses.replace(GREEDY, n_predict=700)
RICH = {"city": 'Rome "é" <b>', "days": 3, "exact": True, "none": None, "part": {"a": [1, 2.5]}}


def tool(name: str, **properties: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {k: {"type": v} for k, v in properties.items()}}
    function = {"name": name, "description": "A tool.", "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [
    tool("get_weather", city="string", days="integer", exact="boolean", none="null", part="object"),
    tool("get_time", zone="string"),
]
ASKED = [{"role": "user", "content": "Hi"}]


def call(name: str, arguments: dict[str, Any], identity: str = "abcdefghi") -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": identity, "type": "function", "function": function}


TIME = call("get_time", {"zone": "UTC"}, "jklmnopqr")
ANSWERS: dict[str, dict[str, Any]] = {
    "content": {"content": "Hello there."},
    "call": {"content": "", "tool_calls": [call("get_weather", {"city": 'a "é" <b>', "days": 3})]},
    "rich call": {"content": "", "tool_calls": [call("get_weather", RICH)]},
    "content and call": {"content": "Let me see.", "tool_calls": [TIME]},
    "two calls": {"content": "", "tool_calls": [call("get_weather", {"city": "Rome"}), TIME]},
    "reasoning": {"content": "Yes.", "reasoning_content": "I think so."},
    "reasoning and call": {"content": "", "reasoning_content": "I see.", "tool_calls": [TIME]},
}
NOT_READ = {
    # The parser of the engine reads one call only, or none.
    ("MiniMax-M1", "two calls"),
    ("meetkai-functionary-medium-v3.2", "two calls"),
    ("meetkai-functionary-medium-v3.2", "content and call"),
    *(("upstage-Solar-Open-100B", answer) for answer in ANSWERS),
    # The template writes earlier turns in another way than the model writes: reasoning that was
    # begun is not ended, content is reasoning or comes last, values are Python's.
    ("NVIDIA-Nemotron-Nano-v2", "content"),
    ("NVIDIA-Nemotron-Nano-v2", "content and call"),
    ("google-gemma-4-31B-it", "content and call"),
    ("openai-gpt-oss-120b", "content and call"),
    *((name, "rich call") for name in ("Qwen3-Coder", "Qwen3.5-4B", "StepFun3.5-Flash")),
}
SOURCES = {path.stem: path for path in templates()}


def template_of(name: str) -> Template:
    return chat_template.from_text(SOURCES[name].read_text(encoding="utf-8"), bos="<s>", eos="</s>")


def written(template: Template, answer: dict[str, Any]) -> str | None:
    """Return what a model writes to give `answer`; None if the template does not tell."""

    def shown(*messages: dict[str, Any], more: bool = False) -> str:
        turns = [*ASKED, *({"role": "assistant", **message} for message in messages)]
        return template.apply(
            TemplateInputs(messages=turns, tools=TOOLS, add_generation_prompt=more)
        ).text

    try:
        begun, whole, marked = shown(more=True), shown(answer), shown({"content": "QQQ"})
    except ModelError:
        return None
    if not whole.startswith(begun):
        return None
    text = whole[len(begun) :].removesuffix(marked.rpartition("QQQ")[2])
    calls = answer.get("tool_calls", ())
    parts = [answer["content"], answer.get("reasoning_content", "")]
    parts += [one["function"]["name"] for one in calls]
    if any(one["function"]["arguments"] == json.dumps(RICH, ensure_ascii=False) for one in calls):
        parts.append(json.dumps(RICH["part"])[1:-1])  # in many forms arguments are no JSON
    return text if all(part in text for part in parts) else None


def apart(reader: AnswerReader, pieces: Sequence[str]) -> tuple[str, str, list[tuple[str, Any]]]:
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


def expected(answer: dict[str, Any]) -> tuple[str, str, list[tuple[str, Any]]]:
    functions = [one["function"] for one in answer.get("tool_calls", ())]
    calls = [(function["name"], json.loads(function["arguments"])) for function in functions]
    return answer.get("reasoning_content", ""), answer["content"], calls


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_family_writes_comes_apart(name: str) -> None:
    template = template_of(name)
    if not template.calls_tools:
        pytest.skip("tools are described to it by us")
    for kind, answer in ANSWERS.items():
        text = written(template, answer)
        if text is None or (name, kind) in NOT_READ:
            continue
        prompt = format_prompt(template, TemplateInputs(messages=ASKED, tools=TOOLS))
        assert expected(answer) == apart(prompt.reader(), [text]), kind
        assert expected(answer) == apart(prompt.reader(), [*text, ""]), kind


def test_most_families_are_tried() -> None:
    tried = {
        name
        for name in SOURCES
        if (template := template_of(name)).calls_tools and written(template, ANSWERS["call"])
    }
    assert len(tried) >= 40


SAID = (
    "Qwen3-0.6B", "Qwen3-Coder", "DeepSeek-V3.1", "GLM-4.6",
    "Mistral-Small-3.2-24B-Instruct-2506", "Mistral-Nemo-Instruct-2407", "granite-4.0",
    "Llama-3.1-8B-Instruct", "Kimi-K2", "MiniMax-M2", "Hermes-3-Llama-3.1-8B-tool_use",
    "command-r7b-12-2024-tool_use", "functionary-medium-v3.1", "Apertus-8B-Instruct",
)  # fmt: skip


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
        model = demo(parrot.write(tmp_path / f"{kind}.gguf", text, len(tokens)))
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
    model = demo(parrot.write(tmp_path / "parrot.gguf", "I would rather talk. " * 3, len(tokens)))
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
