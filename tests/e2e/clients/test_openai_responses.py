"""OpenAI's own client asking for responses: text, schemas, calls, streams, and what is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field
from repertoire import cue
from servers import Served
from typed_answers import ANSWERS, as_json

HELLO = "Hello there, Zoë."
AFTER = "It is sunny in Rome."
THOUGHT = "They want a greeting."


class Weather(BaseModel):
    """Tell the weather."""

    city: Literal["Paris", "Rome"]
    days: int = Field(ge=1, le=14)
    detail: str | None


class Time(BaseModel):
    """Tell the time."""

    zone: str


ROME = Weather(city="Rome", days=3, detail='a "b"')
UTC = Time(zone="UTC")


def tool(model: type[BaseModel]) -> Any:
    """Return a tool as `responses` takes it."""
    return openai.pydantic_function_tool(model)["function"] | {"type": "function"}


WEATHER, TIME = tool(Weather), tool(Time)
TYPES = [openai.pydantic_function_tool(model) for model in (Weather, Time)]
"""The same, as the client parses what they are called with."""
PATCH = {"type": "custom", "name": "patch", "description": "Apply a patch."}
TOLD_PATCH = '*** Begin\n-"old"\n+new\n'


def called(*calls: BaseModel) -> str:
    """Return what a model writes to call tools, in the form of both templates."""
    texts = (
        json.dumps({"name": type(one).__name__, "arguments": one.model_dump()}, ensure_ascii=False)
        for one in calls
    )
    return "\n".join(f"<tool_call>\n{text}\n</tool_call>" for text in texts)


PATCHED = json.dumps({"name": "patch", "arguments": {"input": TOLD_PATCH}})
SAYS = (
    {
        "hello": HELLO,
        "think": f"<think>\n{THOUGHT}\n</think>\n\nWell then: hi!",
        "call": called(ROME),
        "talk and call": f"Let me see.\n{called(UTC)}",
        "two calls": called(ROME, UTC),
        "patch": f"<tool_call>\n{PATCHED}\n</tool_call>",
        **{name: as_json(answer) for name, answer in ANSWERS.items()},
    },
    {"after": AFTER},
)


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        yield made


def asked(name: str, **fields: Any) -> dict[str, Any]:
    """Return a request to say the text `name`."""
    return {"model": "x", "input": cue(name), **fields}


def test_a_text(client: openai.OpenAI) -> None:
    answer = client.responses.create(**asked("hello"))
    assert (HELLO, "completed", None) == (answer.output_text, answer.status, answer.error)
    assert answer.usage and answer.usage.input_tokens and answer.usage.output_tokens
    assert answer.usage.output_tokens_details.reasoning_tokens == 0
    counted = client.responses.input_tokens.count(model="x", input=cue("hello"))
    assert answer.usage.input_tokens == counted.input_tokens

    with client.responses.stream(**asked("hello")) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert HELLO == "".join(deltas) == final.output_text
    assert len(deltas) > 1
    assert [*range(len(events))] == [event.sequence_number for event in events]
    assert [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added", "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done", "response.completed",
    ] == [*dict.fromkeys(event.type for event in events)]  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_parsed(client: openai.OpenAI, name: str) -> None:
    wanted = ANSWERS[name]
    answer = client.responses.parse(**asked(name), text_format=type(wanted))
    assert wanted == answer.output_parsed
    with client.responses.stream(**asked(name), text_format=type(wanted)) as stream:
        [done] = [event for event in stream if event.type == "response.output_text.done"]
        final = stream.get_final_response()
    assert wanted == final.output_parsed == done.parsed


def test_an_answer_in_json(client: openai.OpenAI) -> None:
    request = asked("nested", text={"format": {"type": "json_object"}})
    assert ANSWERS["nested"].model_dump() == json.loads(
        client.responses.create(**request).output_text
    )


@pytest.mark.parametrize(
    "choice",
    ["auto", "required", {"type": "function", "name": "Weather"},
     {"type": "allowed_tools", "mode": "required",
      "tools": [{"type": "function", "name": "Weather"}]}],
)  # fmt: skip
def test_a_call_is_parsed(client: openai.OpenAI, choice: Any) -> None:
    request = asked("call", tools=TYPES, tool_choice=choice)
    [call] = client.responses.parse(**request).output
    assert call.type == "function_call"
    assert ROME == call.parsed_arguments
    assert call.call_id

    with client.responses.stream(**request) as stream:
        events = [event.type for event in stream if "function_call" in event.type]
        [call] = stream.get_final_response().output
    assert call.type == "function_call"
    assert ROME == call.parsed_arguments
    assert "response.function_call_arguments.done" == events[-1]


def test_calls_beside_a_text_and_each_other(client: openai.OpenAI) -> None:
    answer = client.responses.parse(**asked("talk and call", tools=TYPES))
    message, call = answer.output
    assert ("message", "function_call") == (message.type, call.type)
    assert "Let me see." == answer.output_text.strip()
    assert UTC == call.parsed_arguments  # type: ignore[union-attr]

    request = asked("two calls", tools=TYPES, parallel_tool_calls=True)
    with client.responses.stream(**request) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_response()
    for one in (client.responses.parse(**request), streamed):
        calls: list[Any] = [*one.output]
        assert [ROME, UTC] == [call.parsed_arguments for call in calls]
        assert len({call.call_id for call in calls}) == len({call.id for call in calls}) == 2


def test_what_a_tool_gave_goes_back_whole(client: openai.OpenAI) -> None:
    tools = [WEATHER, TIME]
    answer = client.responses.create(**asked("call", tools=tools))
    [call] = answer.output
    assert call.type == "function_call"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": cue("after")}
    talk = [{"role": "user", "content": cue("call")}, *answer.output, result]
    whole = client.responses.create(model="x", input=talk, tools=tools, store=False)
    assert AFTER == whole.output_text
    rest = client.responses.create(
        model="x", input=[result], previous_response_id=answer.id, tools=tools
    )
    assert AFTER == rest.output_text
    assert whole.usage and rest.usage
    assert whole.usage.input_tokens == rest.usage.input_tokens
    referred = [talk[0], {"type": "item_reference", "id": call.id}, result]
    by_name = client.responses.create(model="x", input=referred, tools=tools)
    assert by_name.usage and rest.usage.input_tokens == by_name.usage.input_tokens


def test_what_is_kept(client: openai.OpenAI) -> None:
    first = client.responses.create(**asked("hello"), metadata={"for": "a test"})
    assert first.to_dict() == client.responses.retrieve(first.id).to_dict()
    second = client.responses.create(**asked("hello"), previous_response_id=first.id)
    assert second.usage and first.usage
    assert second.usage.input_tokens > first.usage.input_tokens
    [item] = client.responses.input_items.list(second.id)
    assert cue("hello") in json.dumps(item.to_dict())
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError, match="there is no response"):
        client.responses.create(**asked("hello"), previous_response_id=first.id)
    # What went on from it is whole.
    third = client.responses.create(**asked("hello"), previous_response_id=second.id)
    assert third.usage and third.usage.input_tokens > second.usage.input_tokens

    unkept = client.responses.create(**asked("hello"), store=False)
    assert not unkept.to_dict()["store"]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unkept.id)


def test_a_custom_tool_takes_a_text(client: openai.OpenAI) -> None:
    request = asked("patch", tools=[PATCH])
    [call] = client.responses.create(**request).output
    assert call.type == "custom_tool_call"
    assert TOLD_PATCH == call.input
    with client.responses.stream(**request) as stream:
        deltas = [e.delta for e in stream if e.type == "response.custom_tool_call_input.delta"]
        [streamed] = stream.get_final_response().output
    assert streamed.type == "custom_tool_call"
    assert TOLD_PATCH == "".join(deltas) == streamed.input

    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": cue("after")}
    talk: Any = [{"role": "user", "content": cue("patch")}, call, result]
    assert AFTER == client.responses.create(model="x", input=talk, tools=[PATCH]).output_text


def test_reasoning(client: openai.OpenAI, server: Served) -> None:
    if not client.get("/../props", cast_to=dict[str, Any])["modelembed"]["thinking"]:
        pytest.skip("this template has no place for it")
    answer = client.responses.create(**asked("think"))
    reasoning, message = answer.output
    assert (reasoning.type, message.type) == ("reasoning", "message")
    assert reasoning.content and THOUGHT == reasoning.content[0].text.strip()
    assert [] == reasoning.summary
    assert reasoning.encrypted_content is None
    assert answer.usage and 0 < answer.usage.output_tokens_details.reasoning_tokens
    assert answer.usage.output_tokens_details.reasoning_tokens < answer.usage.output_tokens

    include: Any = ["reasoning.encrypted_content"]
    request = asked("think", include=include, reasoning={"effort": "low", "summary": "auto"})
    with client.responses.stream(**request) as stream:
        told = ["", ""]
        for event in stream:
            if event.type == "response.reasoning_text.delta":
                told[0] += event.delta
            elif event.type == "response.reasoning_summary_text.delta":
                told[1] += event.delta
        carried = stream.get_final_response().output[0]
    assert carried.type == "reasoning"
    assert THOUGHT == told[0].strip() == told[1].strip() == carried.summary[0].text.strip()

    def size(*items: Any) -> int:
        talk: Any = [{"role": "user", "content": "Hi"}, *items, message, {"role": "user",
                     "content": "And?"}]  # fmt: skip
        return client.responses.input_tokens.count(model="x", input=talk).input_tokens

    # It comes back whole, or as what only this server reads.
    kept = {"type": "reasoning", "id": carried.id, "summary": [],
            "encrypted_content": carried.encrypted_content}  # fmt: skip
    assert size() < size(carried) == size(reasoning) == size(kept)


def test_an_answer_is_cut(client: openai.OpenAI) -> None:
    answer = client.responses.create(**asked("hello", max_output_tokens=3))
    assert answer.status == "incomplete"
    assert answer.incomplete_details and answer.incomplete_details.reason == "max_output_tokens"
    assert HELLO.startswith(answer.output_text)
    [*_, last] = client.responses.create(**asked("hello", max_output_tokens=3), stream=True)
    assert last.type == "response.incomplete"
    assert last.response.output_text == answer.output_text


def test_log_probabilities(client: openai.OpenAI) -> None:
    request = asked("hello", include=["message.output_text.logprobs"], top_logprobs=2)
    [message] = client.responses.create(**request).output
    assert message.type == "message"
    part: Any = message.content[0]
    assert HELLO == b"".join(bytes(one.bytes) for one in part.logprobs).decode()
    assert all(len(one.top_logprobs) == 2 for one in part.logprobs)
    [*_, last] = client.responses.create(**request, stream=True)
    assert last.type == "response.completed"
    [streamed] = last.response.output
    assert message.content == streamed.content  # type: ignore[union-attr]


def test_tools_that_run_elsewhere_are_named(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "web_search"}, WEATHER, {"type": "file_search",
                                                   "vector_store_ids": ["x"]}]  # fmt: skip
    raw = client.responses.with_raw_response.create(**asked("hello", tools=tools))
    assert "web_search, file_search" == raw.headers["X-Modelembed-Skipped"]
    assert HELLO == raw.parse().output_text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
         "input[0].content[0]"),
        ({"input": 5}, "input"),
        ({"tools": [{**WEATHER, "parameters": {"type": "nonsense"}}]}, "tools[0].parameters"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "none"}}, "tool_choice"),
        ({"previous_response_id": "resp_none"}, "previous_response_id"),
        ({"temperature": -1}, "temperature"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"input": "word " * 40_000}, None),
    ],
)  # fmt: skip
def test_errors_name_the_field(client: openai.OpenAI, fields: Any, param: str | None) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(**asked("hello", **fields), stream=stream)
        assert param == caught.value.param
    if param is None:
        assert "context_length_exceeded" == caught.value.code


def test_in_an_event_loop(url: str) -> None:
    async def ask() -> str:
        made = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
        async with made as client, client.responses.stream(**asked("hello")) as stream:
            async for _ in stream:
                pass
            return (await stream.get_final_response()).output_text

    assert HELLO == asyncio.run(ask())
