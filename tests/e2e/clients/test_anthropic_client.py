"""Anthropic's own client: text, calls and what they gave, thinking, schemas, streams, counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from client_packages import package
from program import Program
from pydantic import BaseModel
from repertoire import cue
from server_client import get
from servers import Served, serve
from typed_answers import ANSWERS, as_json

anthropic = package("anthropic")

HELLO = "Hello there, Zoë."
AFTER = "It is sunny in Rome."
THOUGHT = "They want a greeting."
WEATHER = {
    "name": "weather",
    "description": "Tell the weather.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
TIME = {"name": "time", "input_schema": {"type": "object", "properties": {}}}
ROME = {"city": "Rome", "days": 3}


def call(name: str, arguments: Any) -> str:
    """Return what a model writes to call a tool, in the form of both templates."""
    text = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{text}\n</tool_call>"


SAYS = (
    {
        "hello": HELLO,
        "think": f"<think>\n{THOUGHT}\n</think>\n\nWell then: hi!",
        "call": call("weather", ROME),
        "talk and call": f"Let me see.\n{call('time', {})}",
        "two calls": f"{call('weather', ROME)}\n{call('time', {})}",
        **{name: as_json(answer) for name, answer in ANSWERS.items()},
    },
    {"after": AFTER},
)


@pytest.fixture
def client(server: Served) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as made:
        yield made


def asked(name: str, **fields: Any) -> dict[str, Any]:
    """Return a request to say the text `name`."""
    messages = [{"role": "user", "content": cue(name)}]
    return {"model": "x", "max_tokens": 1000, "messages": messages, **fields}


def streamed(client: Any, **request: Any) -> tuple[list[Any], Any]:
    """Return the events of a stream, without those that the client adds, and the message."""
    with client.messages.stream(**request) as stream:
        events = [event for event in stream if event.type.startswith(("message", "content"))]
        return events, stream.get_final_message()


def without_usage(message: Any) -> Any:
    found = message.to_dict()
    for key in ("id", "usage", "stop_details"):
        found.pop(key, None)  # some of it is the client's own
    for block in found["content"]:
        block.pop("parsed_output", None)
        if block["type"] == "tool_use":
            block.pop("id")
    return found


def test_a_text(client: Any) -> None:
    answer = client.messages.create(**asked("hello", system="Be brief."))
    assert [HELLO] == [block.text for block in answer.content]
    assert ("end_turn", None, "assistant") == (
        answer.stop_reason,
        answer.stop_sequence,
        answer.role,
    )
    request = asked("hello", system=[{"type": "text", "text": "Be brief."}])
    del request["max_tokens"]
    count = client.messages.count_tokens(**request).input_tokens
    assert count == answer.usage.input_tokens + answer.usage.cache_read_input_tokens

    events, final = streamed(client, **asked("hello", system="Be brief."))
    assert without_usage(answer) == without_usage(final)
    assert final.usage.cache_read_input_tokens == count - 1
    assert final.usage.input_tokens == 1
    assert [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ] == [*dict.fromkeys(event.type for event in events)]  # fmt: skip
    with client.messages.stream(**asked("hello")) as stream:
        assert len(texts := list(stream.text_stream)) > 1
    assert HELLO == "".join(texts)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_parsed(client: Any, name: str) -> None:
    wanted = ANSWERS[name]
    schema = type(wanted).model_json_schema(by_alias=True)
    config = {"format": {"type": "json_schema", "schema": schema}}
    [block] = client.messages.create(**asked(name, output_config=config)).content
    assert wanted == type(wanted).model_validate_json(block.text)


def test_a_type_is_parsed(client: Any) -> None:
    wanted = ANSWERS["nested"]
    kind: type[BaseModel] = type(wanted)
    assert wanted == client.messages.parse(**asked("nested"), output_format=kind).parsed_output
    with client.messages.stream(**asked("nested"), output_format=kind) as stream:
        assert wanted == stream.get_final_message().parsed_output


@pytest.mark.parametrize(
    "choice", [{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "weather"}]
)
def test_a_call(client: Any, choice: Any) -> None:
    request = asked("call", tools=[WEATHER, TIME], tool_choice=choice)
    answer = client.messages.create(**request)
    [block] = answer.content
    assert ("tool_use", "weather", ROME) == (block.type, block.name, block.input)
    assert answer.stop_reason == "tool_use"
    assert block.id
    assert without_usage(answer) == without_usage(streamed(client, **request)[1])


def test_calls_beside_a_text_and_each_other(client: Any) -> None:
    tools = [WEATHER, TIME]
    text, use = client.messages.create(**asked("talk and call", tools=tools)).content
    assert ("Let me see.", "time", {}) == (text.text.strip(), use.name, use.input)
    first, second = streamed(client, **asked("two calls", tools=tools))[1].content
    assert [("weather", ROME), ("time", {})] == [(one.name, one.input) for one in (first, second)]
    assert first.id != second.id
    none = client.messages.create(**asked("call", tools=tools, tool_choice={"type": "none"}))
    assert none.stop_reason == "end_turn"
    assert "weather" in none.content[0].text


@pytest.mark.parametrize("parts", [False, True])
def test_what_a_tool_gave_goes_back(client: Any, parts: bool) -> None:
    request = asked("call", tools=[WEATHER])
    answer = client.messages.create(**request)
    given: Any = [{"type": "text", "text": cue("after")}] if parts else cue("after")
    result = {"type": "tool_result", "tool_use_id": answer.content[0].id, "content": given}
    request["messages"] += [
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result, {"type": "text", "text": "Well?"}]},
    ]
    assert [AFTER] == [block.text for block in client.messages.create(**request).content]
    assert [AFTER] == [block.text for block in streamed(client, **request)[1].content]


def test_thinking(client: Any, server: Served) -> None:
    if not get(server, "/props")["modelembed"]["thinking"]:
        pytest.skip("this template has no place for it")
    request = asked("think", thinking={"type": "enabled", "budget_tokens": 2000})
    answer = client.messages.create(**request)
    thinking, text = answer.content
    assert ("thinking", "text") == (thinking.type, text.type)
    assert THOUGHT == thinking.thinking.strip()
    assert 0 < answer.usage.output_tokens_details.thinking_tokens < answer.usage.output_tokens
    events, final = streamed(client, **request)
    assert without_usage(answer) == without_usage(final)
    kinds = [event.delta.type for event in events if event.type == "content_block_delta"]
    assert ["thinking_delta", "signature_delta", "text_delta"] == [*dict.fromkeys(kinds)]

    hidden = client.messages.create(
        **asked("think", thinking={"type": "adaptive", "display": "omitted"})
    )
    assert "" == hidden.content[0].thinking
    assert hidden.content[0].signature

    def size(*blocks: Any) -> int:
        said = {"role": "assistant", "content": [*blocks, text]}
        turns = [{"role": "user", "content": "Hi"}, said, {"role": "user", "content": "And?"}]
        return int(client.messages.count_tokens(model="x", messages=turns).input_tokens)

    assert size() < size(thinking) == size(hidden.content[0])


def test_why_an_answer_ends(client: Any) -> None:
    stopped = client.messages.create(**asked("hello", stop_sequences=["there", "zzz"]))
    assert ("stop_sequence", "there") == (stopped.stop_reason, stopped.stop_sequence)
    assert "Hello " == stopped.content[0].text
    for request in (asked("hello", max_tokens=3), asked("call", tools=[WEATHER], max_tokens=9)):
        cut = client.messages.create(**request)
        assert cut.stop_reason == "max_tokens"
        assert without_usage(cut) == without_usage(streamed(client, **request)[1])


def test_an_answer_that_is_begun_goes_on(client: Any) -> None:
    request = asked("hello")
    request["messages"].append({"role": "assistant", "content": "Well: "})
    assert client.messages.create(**request).content


BILLED = "x-anthropic-billing-header: cc_version=2.1.101.e51; cc_entrypoint=cli; cch="


def test_the_line_of_billing_does_not_spoil_the_cache(client: Any) -> None:
    cached = []
    for number in range(3):
        system = [{"type": "text", "text": f"{BILLED}{number}5a4{number};"},
                  {"type": "text", "text": "You are a helper. " * 50}]  # fmt: skip
        question = [{"role": "user", "content": f"{number}. {cue('hello')}"}]
        usage = client.messages.create(**asked("hello", system=system, messages=question)).usage
        cached.append((usage.cache_read_input_tokens, usage.input_tokens))
    for read, new in cached[1:]:
        assert read > 500
        assert new < 100


def test_tools_that_run_elsewhere_are_named(client: Any) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}, WEATHER]
    raw = client.messages.with_raw_response.create(**asked("hello", tools=tools))
    assert "web_search_20250305" == raw.headers["X-Modelembed-Skipped"]
    assert HELLO == raw.parse().content[0].text


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"messages": "Hi"}, "'messages'"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {
            "type": "url", "url": "https://example.org"}}]}]}, "'messages[0].content[0]'"),
        ({"tools": [{**WEATHER, "input_schema": {"type": "nonsense"}}]}, "'tools[0].input_schema'"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "none"}}, "'tool_choice'"),
        ({"max_tokens": -7}, "'max_tokens'"),
        ({"messages": [{"role": "user", "content": "word " * 40_000}]}, "the context has room for"),
    ],
)  # fmt: skip
def test_errors_name_the_field(client: Any, fields: Any, named: str) -> None:
    for stream in (False, True):
        with pytest.raises(anthropic.BadRequestError) as caught:
            client.messages.create(**asked("hello", **fields), stream=stream)
        body: Any = caught.value.body
        assert ("error", "invalid_request_error") == (body["type"], body["error"]["type"])
        assert named in body["error"]["message"]


def test_keys_as_this_client_sends_them(chat: Program) -> None:
    question = [{"role": "user", "content": "What is the capital of France?"}]

    def ask(**fields: Any) -> str:
        with anthropic.Anthropic(base_url=served.url, max_retries=0, **fields) as client:
            answer = client.messages.create(model="x", max_tokens=50, messages=question)
            return str(answer.content[0].text)

    with serve(chat, "-t", "1", "--api-key", "sesame") as served:
        assert "Paris" in ask(api_key="sesame")
        assert "Paris" in ask(auth_token="sesame")
        with pytest.raises(anthropic.AuthenticationError) as caught:
            ask(api_key="wrong")
        assert caught.value.body["error"]["type"] == "authentication_error"
        for path in ("/v1/messages/batches", "/v1/messages"):
            with (
                anthropic.Anthropic(base_url=served.url, api_key="sesame", max_retries=0) as client,
                pytest.raises(anthropic.APIStatusError) as missing,
            ):
                client.get(path, cast_to=dict)
            assert missing.value.body["type"] == "error"


def test_in_an_event_loop(server: Served) -> None:
    async def ask() -> str:
        made = anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0)
        async with made as client, client.messages.stream(**asked("hello")) as stream:
            return str(await stream.get_final_text())

    assert HELLO == asyncio.run(ask())
