"""What models of all families write, as the produced server tells it: whole and streamed.

A model that says given texts takes the place of a real one, so that all the way of an answer is in
it: template, grammar, tokens, special ones too, text, parser, protocol.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from families import ANSWERS, NOT_READ, SOURCES, Call, expected, written
from other_protocols import (
    message_parts,
    message_request,
    named_events,
    response_parts,
    response_request,
    streamed_message,
    streamed_response,
)
from parrots import Flock
from program import Program
from server_client import events, post
from servers import Served

from runtime.errors import ModelError

ALL = "MODELEMBED_TEST_ALL_FAMILIES"
"""An environment variable: if it is set, the families are all that there are."""
FAMILIES = [
    "Qwen-Qwen3-0.6B",
    "meta-llama-Llama-3.1-8B-Instruct",
    "meetkai-functionary-medium-v3.1",
    "Mistral-Small-3.2-24B-Instruct-2506",
    "deepseek-ai-DeepSeek-V3.1",
    "GLM-4.6",
    "MiniMax-M2",
]
"""A family of each kind of form: seconds each."""
CUTS = 4
"""Places in which an answer is cut."""
ANYTHING = r"root ::= [\x01-\U0010FFFF]*"
"""A grammar that keeps the model from nothing, where a tool's would not let it write nonsense."""

OTHER_FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "call": {
        "none": {"tool_choice": "none"},
        "required": {"tool_choice": "required"},
        "named": {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    },
    "two calls": {"one call": {"parallel_tool_calls": False}},
    "reasoning": {
        "raw": {"reasoning_format": "none"},
        "apart": {"reasoning_format": "deepseek"},
        "budget": {"thinking_budget_tokens": 3},
        "no budget": {"thinking_budget_tokens": 0},
    },
}
"""What is asked for otherwise, by the answer that the model gives; names of requests and fields."""


@dataclass
class Told:
    """An answer as a client puts it together."""

    reasoning: str = ""
    content: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Name and arguments of each."""
    reason: str | None = None

    @property
    def parts(self) -> tuple[str, str, list[Call]]:
        calls = [(name, json.loads(arguments)) for name, arguments in self.calls]
        return self.reasoning.strip(), self.content.strip(), calls


@dataclass
class Family:
    """A family that is served."""

    name: str
    server: Served
    requests: dict[str, dict[str, Any]]

    def size(self, kind: str) -> int:
        """Return the tokens of an answer."""
        answer = post(self.server, "/v1/chat/completions", self.requests[kind])
        return int(answer["usage"]["completion_tokens"])

    def told(self, kind: str, **fields: Any) -> Told:
        """Return the answer to a request, which must be the same whole and streamed."""
        request = {**self.requests[kind], **fields}
        told = whole(post(self.server, "/v1/chat/completions", request))
        assert told == streamed(events(self.server, "/v1/chat/completions", request)), kind
        return told


def whole(answer: Any) -> Told:
    [choice] = answer["choices"]
    message = choice["message"]
    calls = message.get("tool_calls", [])
    assert all(one["type"] == "function" for one in calls)
    assert len(calls) == len({one["id"] for one in calls if one["id"]})
    assert "\N{REPLACEMENT CHARACTER}" not in json.dumps(answer, ensure_ascii=False)
    return Told(
        message.get("reasoning_content", ""),
        message["content"] or "",
        [(one["function"]["name"], one["function"]["arguments"]) for one in calls],
        choice["finish_reason"],
    )


def streamed(parts: list[Any]) -> Told:
    told, ids = Told(), set()
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    for part in parts:
        assert told.reason is None, "something came after the end"
        [choice] = part["choices"]
        delta = choice["delta"]
        told.reason = choice["finish_reason"]
        told.reasoning += delta.get("reasoning_content", "")
        told.content += delta.get("content") or ""
        for one in delta.get("tool_calls", ()):
            function = one["function"]
            if one["index"] == len(told.calls):
                assert one["type"] == "function"
                assert one["id"]
                ids.add(one["id"])
                told.calls.append((function["name"], ""))
            else:
                assert one.keys() | function.keys() <= {"index", "function", "arguments"}
            assert one["index"] == len(told.calls) - 1, "an earlier call goes on"
            name, arguments = told.calls[-1]
            told.calls[-1] = name, arguments + function.get("arguments", "")
    assert len(ids) == len(told.calls)
    assert "\N{REPLACEMENT CHARACTER}" not in json.dumps(parts, ensure_ascii=False)
    return told


NOT_SERVED = ("google-gemma-4-31B-it", "google-gemma-4-31B-it-interleaved")
"""Their templates write behind a call what the grammar forbids, which puts the parrot out."""
OTHER_IDS = ("CohereForAI-c4ai-command-r7b-12-2024-tool_use",)
"""They number their calls; one that is required has an id of nine letters, which puts the parrot
out."""
ASKABLE = [name for name in SOURCES if name not in NOT_SERVED]


@pytest.fixture(scope="module", params=ASKABLE if ALL in os.environ else FAMILIES)
def family(
    request: pytest.FixtureRequest, stub: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Family]:
    name = request.param
    try:
        flock, requests = Flock(name), dict[str, Any]()
    except ModelError:
        pytest.skip("its template takes no tools with such types")
    if not flock.template.calls_tools:
        pytest.skip("tools are described to it by us")

    def add(kind: str, text: str, **fields: Any) -> None:
        requests[kind] = flock.add(text, **fields)

    for kind, answer in ANSWERS.items():
        text = written(flock.template, answer)
        if text is not None and (name, kind) not in NOT_READ:
            add(kind, text)
            for title, fields in OTHER_FIELDS.get(kind, {}).items():
                said = text
                if fields.get("tool_choice", "none") != "none":
                    if flock.is_generic(**fields):
                        [(called, arguments)] = expected(answer)[2]
                        call = json.dumps({"name": called, "arguments": arguments})
                        said = f"<tool_call>\n{call}</tool_call>"
                    else:  # no reasoning precedes
                        said = text.rpartition(flock.reasoning_end)[2].lstrip()
                add(title, said, **fields)
            if kind == "call":
                said = text.rpartition(flock.reasoning_end)[2].lstrip()
                add("broken", said.replace("get_weather", "get_whether"), grammar=ANYTHING)
    path = tmp_path_factory.mktemp("parrot") / "parrot.gguf"
    with flock.served(Program(stub), path) as server:
        yield Family(name, server, requests)
    path.unlink()


def test_answers_come_apart(family: Family) -> None:
    for kind in family.requests.keys() & ANSWERS.keys():
        told = family.told(kind)
        assert expected(ANSWERS[kind]) == told.parts, kind
        assert ("tool_calls" if told.calls else "stop") == told.reason, kind


@pytest.mark.parametrize("protocol", ["responses", "messages"])
def test_other_protocols_tell_the_same(family: Family, protocol: str) -> None:
    """Whole and streamed; how the arguments of calls are written is the protocol's."""
    for kind, request in family.requests.items():
        if "reasoning_format" in request:
            continue  # neither has it
        size = family.size(kind)
        for limit in (None, 1 + size // 2)[: 2 if kind in ("reasoning", "two calls") else 1]:
            asked = request if limit is None else {**request, "max_tokens": limit}
            told = whole(post(family.server, "/v1/chat/completions", asked))
            if protocol == "responses":
                asked = response_request(asked)
                events = named_events(family.server, "/v1/responses", asked)
                found = [post(family.server, "/v1/responses", asked), streamed_response(events)]
                parts = [response_parts(one) for one in found]
            else:
                asked = message_request(asked)
                events = named_events(family.server, "/v1/messages", asked)
                found = [post(family.server, "/v1/messages", asked), streamed_message(events)]
                parts = [message_parts(one) for one in found]
            expected_calls = [(name, as_object(arguments)) for name, arguments in told.calls]
            for reasoning, content, calls, reason in parts:
                assert (told.reasoning, told.content) == (reasoning, content), (kind, limit)
                assert told.reason == reason, (kind, limit)
                assert expected_calls == [(name, as_object(text)) for name, text in calls]


def as_object(text: str) -> Any:
    """Return arguments as what they say; those that are cut are as good as none."""
    try:
        return json.loads(text)
    except ValueError:
        return {}


def test_answers_that_are_cut(family: Family) -> None:
    for kind in ("rich call", "call of all types", "reasoning", "two calls"):
        if kind not in family.requests:
            continue
        reasoning, _, calls = expected(ANSWERS[kind])
        size = family.size(kind)
        for limit in range(1, size, 1 + size // CUTS):
            told = family.told(kind, max_tokens=limit)
            assert "length" == told.reason, (kind, limit)
            assert reasoning.startswith(told.reasoning.strip()), (kind, limit)
            assert [name for name, _ in told.calls] == [name for name, _ in calls][
                : len(told.calls)
            ]


def test_tools_that_must_or_must_not_be_called(family: Family) -> None:
    if "call" not in family.requests:
        pytest.skip("its template does not tell how it calls")
    _, _, calls = expected(ANSWERS["call"])
    for kind in () if family.name in OTHER_IDS else ("required", "named"):
        told = family.told(kind)
        assert calls == told.parts[2], kind
        assert "tool_calls" == told.reason, kind
    if "one call" in family.requests:
        assert expected(ANSWERS["two calls"])[2][:1] == family.told("one call").parts[2]
    told = family.told("none")
    assert [] == told.calls
    assert "stop" == told.reason
    assert "get_weather" in told.content


def test_reasoning_as_it_is_asked_for(family: Family) -> None:
    if "reasoning" not in family.requests:
        pytest.skip("its template does not tell how it reasons")
    assert expected(ANSWERS["reasoning"]) == family.told("apart").parts
    raw = family.told("raw")
    assert "" == raw.reasoning
    assert "I think so." in raw.content
    assert "Yes." in raw.content
    short = family.told("budget")
    assert len(short.reasoning.strip()) <= len("I think so.") // 2
    assert short.content
    assert family.told("no budget").reasoning == ""


def test_a_call_of_an_unknown_tool_is_text(family: Family) -> None:
    if "broken" not in family.requests:
        pytest.skip("its template does not tell how it calls")
    told = family.told("broken")
    assert [] == told.calls
    assert "get_whether" in told.content
    assert "stop" == told.reason
