"""Families of models: their chat templates, and what models write by them.

What a model writes is taken from its template: as that writes an earlier turn of the assistant, the
model writes its next one.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from benchmarks.conversations import templates
from runtime.chat_format import chat_template
from runtime.chat_format.chat_template import Template, TemplateInputs
from runtime.errors import ModelError

SOURCES = {path.stem: path for path in templates()}
ASKED = [{"role": "user", "content": "Hi"}]
RICH = {"city": 'Rome "é" <b>', "days": 3, "exact": True, "none": None, "part": {"a": [1, 2.5]}}
ALL_TYPES = {
    "text": 'He said: "no"\n\\n\ttwo {lines} 😀 日本',
    "count": -7,
    "share": 2.5,
    "large": 2.5e20,
    "sure": False,
    "none": None,
    "items": [1, [2, {"a": []}], "x", None],
    "part": {"b": {"c": {}}, "d": "é"},
    "empty": {},
}

Call = tuple[str, Any]
"""A tool's name and the arguments."""


def tool(name: str, **properties: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {k: {"type": v} for k, v in properties.items()}}
    function = {"name": name, "description": "A tool.", "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [
    tool("get_weather", city="string", days="integer", exact="boolean", none="null", part="object"),
    tool("get_time", zone="string"),
    tool(
        "keep", text="string", count="integer", share="number", large="number", sure="boolean",
        none="null", items="array", part="object", empty="object",
    ),
]  # fmt: skip


def call(name: str, arguments: dict[str, Any], identity: str = "abcdefghi") -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": identity, "type": "function", "function": function}


ROME, TIME = call("get_weather", {"city": "Rome"}), call("get_time", {"zone": "UTC"}, "jklmnopqr")
ANSWERS: dict[str, dict[str, Any]] = {
    "content": {"content": "Hello there."},
    "call": {"content": "", "tool_calls": [call("get_weather", {"city": 'a "é" <b>', "days": 3})]},
    "rich call": {"content": "", "tool_calls": [call("get_weather", RICH)]},
    "call of all types": {"content": "", "tool_calls": [call("keep", ALL_TYPES)]},
    "content and call": {"content": "Let me see.", "tool_calls": [TIME]},
    "two calls": {"content": "", "tool_calls": [ROME, TIME]},
    "reasoning": {"content": "Yes.", "reasoning_content": "I think so."},
    "reasoning and call": {"content": "", "reasoning_content": "I see.", "tool_calls": [TIME]},
    "all parts": {
        "content": "Let me see.",
        "reasoning_content": "They want the time.",
        "tool_calls": [ROME, TIME],
    },
}
NOT_READ = {
    # The parser of the engine reads one call only, or none.
    ("MiniMax-M1", "two calls"),
    ("MiniMax-M2", "all parts"),
    ("meetkai-functionary-medium-v3.2", "two calls"),
    ("meetkai-functionary-medium-v3.2", "content and call"),
    *(("upstage-Solar-Open-100B", answer) for answer in ANSWERS),
    # The template writes earlier turns in another way than the model writes: reasoning that was
    # begun is not ended, content is reasoning or comes last, values are Python's or not escaped.
    ("NVIDIA-Nemotron-Nano-v2", "content"),
    ("NVIDIA-Nemotron-Nano-v2", "content and call"),
    ("google-gemma-4-31B-it", "content and call"),
    ("google-gemma-4-31B-it", "all parts"),
    ("openai-gpt-oss-120b", "content and call"),
    ("LFM2.5-8B-A1B", "call of all types"),
    *(
        (name, answer)
        for name in ("Qwen3-Coder", "Qwen3.5-4B", "StepFun3.5-Flash")
        for answer in ("rich call", "call of all types")
    ),
}
"""What does not come apart, and why."""
_PARTS = {json.dumps(value, ensure_ascii=False): value["part"] for value in (RICH, ALL_TYPES)}


@functools.cache
def template_of(name: str, *, bos: str = "<s>", eos: str = "</s>") -> Template:
    return chat_template.from_text(SOURCES[name].read_text(encoding="utf-8"), bos=bos, eos=eos)


def written(template: Template, answer: dict[str, Any]) -> str | None:
    """Return what a model writes to give `answer`; None if the template does not tell."""
    return _written(template, json.dumps(answer))


@functools.cache
def _written(template: Template, encoded: str) -> str | None:
    answer = json.loads(encoded)
    try:
        begun, end = _around(template)
        whole = _shown(template, answer)
    except ModelError:
        return None
    if not whole.startswith(begun):
        return None
    text = whole[len(begun) :].removesuffix(end)
    parts = [answer["content"], answer.get("reasoning_content", "")]
    for one in answer.get("tool_calls", ()):
        parts.append(one["function"]["name"])
        if part := _PARTS.get(one["function"]["arguments"]):
            # In many forms arguments are no JSON.
            parts.append(json.dumps(part, ensure_ascii=False)[1:-1])
    return text if all(part in text for part in parts) else None


@functools.cache
def _around(template: Template) -> tuple[str, str]:
    """Return the prompt, and what the template writes behind an answer."""
    marked = _shown(template, {"content": "QQQ"})
    return _shown(template, more=True), marked.rpartition("QQQ")[2]


def _shown(template: Template, *messages: dict[str, Any], more: bool = False) -> str:
    turns = [*ASKED, *({"role": "assistant", **message} for message in messages)]
    inputs = TemplateInputs(messages=turns, tools=TOOLS, add_generation_prompt=more)
    return template.apply(inputs).text


def expected(answer: dict[str, Any]) -> tuple[str, str, list[Call]]:
    """Return reasoning, content and calls of an answer."""
    functions = [one["function"] for one in answer.get("tool_calls", ())]
    calls = [(function["name"], json.loads(function["arguments"])) for function in functions]
    return answer.get("reasoning_content", ""), answer["content"], calls
