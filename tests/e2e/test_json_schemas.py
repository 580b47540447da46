"""Answers held to JSON schemas by the produced binary: none is refused, all are checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from program import Program
from schemas import SCHEMAS
from server_client import asked, call, events, post
from servers import Served, serve

CHAT = "/v1/chat/completions"
HEADER = "x-modelembed-schema"
FRACTION = {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 1}
PLACE = "minimum at #/items"
CUT = 160
"""Tokens of an answer that may have no end: the demo model writes nonsense."""


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "2", "-np", "2", "-c", "2048", "--temp", "1") as running:
        yield running


def held_to(schema: Any, **fields: Any) -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return asked(response_format=form, max_tokens=CUT, temperature=1.0, **fields)


def respond(server: Served, path: str, body: Any) -> tuple[dict[str, Any], str]:
    """Return the response and the header about the schema."""
    status, headers, found = call(server, "POST", path, body)
    assert status == 200, found
    return found, headers.get(HEADER, "")


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_schema_is_refused(server: Served, name: str) -> None:
    for seed in range(2):
        answer, header = respond(server, CHAT, held_to(SCHEMAS[name], seed=seed))
        choice = answer["choices"][0]
        check = answer.get("schema_check")
        assert bool(header) == bool(check)
        if choice["finish_reason"] == "stop":
            json.loads(choice["message"]["content"])
        elif check:
            assert check["held"] is not True


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_no_tool_is_refused_for_its_parameters(server: Served, name: str, choice: str) -> None:
    function = {"name": "act", "parameters": SCHEMAS[name]}
    tools = [{"type": "function", "function": function}]
    answer, _ = respond(
        server, CHAT, asked(tools=tools, tool_choice=choice, max_tokens=CUT, temperature=1.0)
    )
    for called in answer["choices"][0]["message"].get("tool_calls", ()):
        assert called["function"]["name"] == "act"
        if answer["choices"][0]["finish_reason"] == "tool_calls":
            json.loads(called["function"]["arguments"])


def test_what_was_relaxed_is_said(server: Served) -> None:
    answer, header = respond(server, CHAT, held_to(FRACTION))
    assert header == f"relaxed {PLACE}"
    check = answer["schema_check"]
    assert check["relaxed"] == [{"keyword": "minimum", "at": "#/items"}]
    text = answer["choices"][0]["message"]["content"]
    whole = answer["choices"][0]["finish_reason"] == "stop"
    assert check["held"] is (whole and all(number >= 0 for number in json.loads(text)))
    answer, header = respond(server, CHAT, held_to({"type": "integer", "minimum": 3}))
    assert "schema_check" not in answer
    assert not header


@pytest.mark.parametrize("usage", [False, True])
def test_the_last_chunk_says_whether_it_held(server: Served, usage: bool) -> None:
    options = {"stream_options": {"include_usage": usage}, "stream": True}
    for path, body in (
        (CHAT, held_to(FRACTION, n=2, **options)),
        ("/v1/completions", {"prompt": "x", "json_schema": FRACTION, "max_tokens": 9, **options}),
        ("/completion", {"prompt": "x", "json_schema": FRACTION, "n_predict": 9, "stream": True}),
    ):
        found = events(server, path, body)
        checks = [event["schema_check"] for event in found if "schema_check" in event]
        assert [found[-1]["schema_check"]] == checks
        assert checks[0]["relaxed"] == [{"keyword": "minimum", "at": "#/items"}]
        assert checks[0]["held"] in (True, False)


def test_other_ways_to_ask(server: Served) -> None:
    for path, body in (
        (CHAT, asked(json_schema=FRACTION, max_tokens=5)),
        ("/v1/completions", {"prompt": "x", "json_schema": FRACTION, "max_tokens": 5}),
        ("/completion", {"prompt": "x", "json_schema": FRACTION, "n_predict": 5}),
    ):
        answer, header = respond(server, path, body)
        assert header == f"relaxed {PLACE}"
        assert answer["schema_check"]["relaxed"]
    several = {"prompt": ["x", "y"], "json_schema": FRACTION, "n_predict": 5}
    assert all(one["schema_check"]["relaxed"] for one in post(server, "/completion", several))
    form = {"type": "json_object", "schema": FRACTION}
    _, header = respond(server, CHAT, asked(response_format=form, max_tokens=5))
    assert header == f"relaxed {PLACE}"
    tools = [{"type": "function", "function": {"name": "act", "parameters": {
        "type": "object", "properties": {"part": FRACTION}, "required": ["part"]}}}]  # fmt: skip
    answer, header = respond(
        server, CHAT, asked(tools=tools, tool_choice="required", max_tokens=CUT)
    )
    assert header == "relaxed minimum at act#/properties/part/items"
    assert answer["schema_check"]["relaxed"][0]["at"] == "act#/properties/part/items"


def test_what_is_no_schema_is_refused_by_its_place(server: Served) -> None:
    bad = {"type": "object", "properties": {"a": {"type": "strin"}}}
    tools = [{"type": "function", "function": {"name": "act", "parameters": bad}}]
    for path, body, field in (
        (CHAT, held_to(bad), "response_format"),
        (CHAT, asked(json_schema=bad), "json_schema"),
        (CHAT, asked(tools=tools), "tools[0].function.parameters"),
        ("/v1/completions", {"prompt": "x", "json_schema": bad}, "json_schema"),
        ("/completion", {"prompt": "x", "json_schema": bad}, "json_schema"),
    ):
        error = post(server, path, body, 400)["error"]
        assert "#/properties/a/type" in error["message"], error
        assert error["param"] == field
    deep: Any = {}
    for _ in range(100):
        deep = {"items": deep}
    assert "nested deeper than" in post(server, CHAT, held_to(deep), 400)["error"]["message"]


def test_a_tool_is_shown_as_it_was_given(server: Served) -> None:
    number = {"type": "number", "minimum": 17.25}
    function = {"name": "act", "parameters": {"type": "object", "properties": {"a": number}}}
    body = {"messages": [{"role": "user", "content": "x"}],
            "tools": [{"type": "function", "function": function}]}  # fmt: skip
    assert "17.25" in post(server, "/apply-template", body)["prompt"]


def test_nothing_went_wrong_inside(server: Served) -> None:
    assert "error:" not in "".join(server.said)


def test_in_the_terminal(chat: Program) -> None:
    schema = json.dumps(
        {"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True}
    )
    done = chat("-p", "One?", "-j", schema, "-n", "40")
    assert done.code == 0
    assert "holds the answer to all of the JSON schema: uniqueItems at #" in done.err
    assert "the answer does not follow the JSON schema" in done.err
    assert set(json.loads(done.out)) == {1} if done.out.rstrip().endswith("]") else done.out
    done = chat("-p", "One?", "-j", '{"type": "number", "minimum": 0, "maximum": 5, "const": 4}')
    assert (done.out, done.err) == ("4\n", "")
    done = chat("-p", "One?", "-j", '{"type": "numbers"}')
    assert done.code
    assert "is not valid at #/type" in done.err
