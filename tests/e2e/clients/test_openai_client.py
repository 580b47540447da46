"""OpenAI's own client: answers parsed into Pydantic models, tools from them, and its streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from program import Program
from pydantic import BaseModel, Field
from repertoire import cue
from servers import Served, serve
from typed_answers import ANSWERS, Nested, as_json

HELLO = "Hello there, Zoë."


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
WEATHER, TIME = openai.pydantic_function_tool(Weather), openai.pydantic_function_tool(Time)
FORCED = {"type": "function", "function": {"name": "Weather"}}


def called(*calls: BaseModel) -> str:
    """Return what a model writes to call tools, in the form of both templates."""
    texts = (
        json.dumps({"name": type(one).__name__, "arguments": one.model_dump()}, ensure_ascii=False)
        for one in calls
    )
    return "\n".join(f"<tool_call>\n{text}\n</tool_call>" for text in texts)


SAYS = (
    {
        "hello": HELLO,
        "call": called(ROME),
        "talk and call": f"Let me see.\n{called(UTC)}",
        "two calls": called(ROME, UTC),
        **{name: as_json(answer) for name, answer in ANSWERS.items()},
    },
    {"after": "It is sunny in Rome."},
)


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        yield made


def asked(name: str, **fields: Any) -> dict[str, Any]:
    """Return a request to say the text `name`."""
    return {"model": "x", "messages": [{"role": "user", "content": cue(name)}], **fields}


def test_a_text(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**asked("hello"))
    assert HELLO == answer.choices[0].message.content
    with client.chat.completions.stream(**asked("hello")) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert HELLO == "".join(deltas) == final.choices[0].message.content


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_parsed(client: openai.OpenAI, name: str) -> None:
    wanted = ANSWERS[name]
    answer = client.chat.completions.parse(**asked(name), response_format=type(wanted))
    assert wanted == answer.choices[0].message.parsed


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stream_is_parsed(client: openai.OpenAI, name: str) -> None:
    wanted = ANSWERS[name]
    with client.chat.completions.stream(
        **asked(name), response_format=type(wanted), stream_options={"include_usage": True}
    ) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert as_json(wanted) == text
    assert wanted == final.choices[0].message.parsed
    assert final.usage and final.usage.completion_tokens


@pytest.mark.parametrize("name", ANSWERS)
def test_a_tool_takes_any_model(client: openai.OpenAI, name: str) -> None:
    tool = openai.pydantic_function_tool(type(ANSWERS[name]), name="act")
    for choice in ("auto", {"type": "function", "function": {"name": "act"}}):
        client.chat.completions.create(
            **asked("hello", tools=[tool], tool_choice=choice, max_tokens=5)
        )


@pytest.mark.parametrize("choice", ["auto", "required", FORCED])
def test_a_call_is_parsed(client: openai.OpenAI, choice: Any) -> None:
    request = asked("call", tools=[WEATHER, TIME], tool_choice=choice)
    answer = client.chat.completions.parse(**request).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert not answer.message.content
    (call,) = answer.message.tool_calls or ()
    assert ROME == call.function.parsed_arguments

    with client.chat.completions.stream(**request) as stream:
        events = [event for event in stream if event.type.startswith("tool_calls.function")]
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or ()
    assert ROME == call.function.parsed_arguments
    assert "tool_calls.function.arguments.done" == events[-1].type
    assert ROME == events[-1].parsed_arguments
    assert call.id


def test_a_text_beside_a_call(client: openai.OpenAI) -> None:
    request = asked("talk and call", tools=[WEATHER, TIME])
    message = client.chat.completions.parse(**request).choices[0].message
    assert "Let me see." == (message.content or "").strip()
    assert [UTC] == [one.function.parsed_arguments for one in message.tool_calls or ()]
    with client.chat.completions.stream(**request) as stream:
        streamed = stream.get_final_completion().choices[0].message
    assert "Let me see." == (streamed.content or "").strip()
    assert [UTC] == [one.function.parsed_arguments for one in streamed.tool_calls or ()]


def test_two_calls(client: openai.OpenAI) -> None:
    request = asked("two calls", tools=[WEATHER, TIME], parallel_tool_calls=True)
    message = client.chat.completions.parse(**request).choices[0].message
    assert [ROME, UTC] == [one.function.parsed_arguments for one in message.tool_calls or ()]
    with client.chat.completions.stream(**request) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls or ()
    assert [ROME, UTC] == [one.function.parsed_arguments for one in calls]
    assert len({call.id for call in calls}) == 2


def test_an_answer_with_tools_that_are_not_called(client: openai.OpenAI) -> None:
    request = asked("nested", tools=[WEATHER], response_format=Nested)
    answer = client.chat.completions.parse(**request)
    assert ANSWERS["nested"] == answer.choices[0].message.parsed
    plain = client.chat.completions.parse(**asked("hello", tools=[WEATHER])).choices[0].message
    assert (HELLO, None) == (plain.content, plain.tool_calls)


def test_a_call_with_a_form_for_the_answer(client: openai.OpenAI) -> None:
    request = asked("call", tools=[WEATHER], response_format=Nested)
    message = client.chat.completions.parse(**request).choices[0].message
    assert [ROME] == [one.function.parsed_arguments for one in message.tool_calls or ()]


def test_what_a_tool_answered_goes_back(client: openai.OpenAI) -> None:
    request = asked("call", tools=[WEATHER])
    message = client.chat.completions.parse(**request).choices[0].message
    (call,) = message.tool_calls or ()
    result = {"role": "tool", "tool_call_id": call.id, "content": f"sunny {cue('after')}"}
    messages = [*request["messages"], message, result]
    answer = client.chat.completions.create(model="x", messages=messages, tools=[WEATHER])
    assert SAYS[1]["after"] == answer.choices[0].message.content


def test_in_an_event_loop(url: str) -> None:
    async def ask() -> tuple[Any, str]:
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            answer = await client.chat.completions.parse(**asked("nested"), response_format=Nested)
            text = ""
            async with client.chat.completions.stream(**asked("hello")) as stream:
                async for event in stream:
                    text += event.delta if event.type == "content.delta" else ""
            return answer.choices[0].message.parsed, text

    assert (ANSWERS["nested"], HELLO) == asyncio.run(ask())


def test_an_answer_that_is_cut_says_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(**asked("nested", max_tokens=3), response_format=Nested)


@pytest.fixture(scope="module")
def demo(chat: Program) -> Iterator[Served]:
    """Return a server of a model that writes nonsense here."""
    with serve(chat, "-t", "1", "-np", "1", "-c", "4096", "--temp", "1") as running:
        yield running


SHORT = ("choices", "times", "union", "tree", "linked")
"""Answers that end soon, whatever they say; others may be cut."""


def nonsense(demo: Served, seed: int, **fields: Any) -> tuple[dict[str, Any], bool]:
    """Return an answer that the model did not mean, and whether it must be valid."""
    request = asked("x", max_tokens=300, seed=seed, temperature=1, **fields)
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.parse(**request)
    answer = json.loads(raw.text)
    check, choice = answer.get("schema_check"), answer["choices"][0]
    assert bool(check) == ("x-modelembed-schema" in raw.headers)
    return choice, choice["finish_reason"] != "length" and (check is None or check["held"])


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_valid_whatever_the_model_says(demo: Served, name: str) -> None:
    kind, found = type(ANSWERS[name]), 0
    for seed in range(6):
        choice, whole = nonsense(demo, seed, response_format=kind)
        if whole:
            kind.model_validate_json(choice["message"]["content"])
            found += 1
    assert found or name not in SHORT


def test_an_answer_or_a_call_is_valid_whatever_the_model_says(demo: Served) -> None:
    reasons = set()
    for seed in range(12):
        choice, whole = nonsense(demo, seed, response_format=Nested, tools=[WEATHER])
        message = choice["message"]
        for call in message.get("tool_calls", ()) if whole else ():
            Weather.model_validate_json(call["function"]["arguments"])
        if whole and not message.get("tool_calls"):
            Nested.model_validate_json(message["content"])
        reasons.add(choice["finish_reason"])
    assert reasons & {"stop", "tool_calls"}
