"""LangChain's model of OpenAI: answers with a structure in each of its ways, tools, and streams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from client_packages import package
from repertoire import cue
from typed_answers import ANSWERS, Nested, as_json

langchain_openai = package("langchain_openai")
messages = package("langchain_core.messages")
tools = package("langchain_core.tools")

HELLO = "Hello there, Zoë."
AFTER = "It is sunny in Rome."
NESTED = ANSWERS["nested"]


def call(name: str, arguments: str) -> str:
    """Return what a model writes to call a tool, in the form of both templates."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


NAMES = [name for name in ANSWERS if name != "generic"]  # a tool cannot be named `Box[Address]`
ROME = call("weather", '{"city": "Rome", "days": 3}')
SAYS = (
    {
        "hello": HELLO,
        "call": ROME,
        "two calls": ROME + call("weather", '{"city": "Paris", "days": 1}'),
        **{name: as_json(answer) for name, answer in ANSWERS.items()},
        "called": call("Nested", as_json(NESTED)),
    },
    {"after": AFTER},
)


@tools.tool
def weather(city: str, days: int) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city} for {days} days {cue('after')}"


@pytest.fixture
def model(url: str) -> Iterator[Any]:
    with openai.DefaultHttpxClient() as client:
        yield connected(url, http_client=client)


def connected(url: str, **fields: Any) -> Any:
    """Return the model of a server."""
    return langchain_openai.ChatOpenAI(
        model="x", base_url=url, api_key="none", max_retries=0, stream_usage=True, **fields
    )


def test_a_text(model: Any) -> None:
    answer = model.invoke(cue("hello"))
    assert HELLO == answer.content
    assert answer.usage_metadata["output_tokens"] > 3
    assert answer.response_metadata["finish_reason"] == "stop"

    parts = list(model.stream(cue("hello")))
    assert HELLO == "".join(part.content for part in parts)
    assert sum(part.usage_metadata["output_tokens"] for part in parts if part.usage_metadata) > 3


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_held_to_a_schema(model: Any, name: str) -> None:
    asked = model.with_structured_output(type(ANSWERS[name]), method="json_schema")
    assert ANSWERS[name] == asked.invoke(cue(name))


def test_responses(url: str) -> None:
    with openai.DefaultHttpxClient() as client:
        model = connected(url, http_client=client, use_responses_api=True)
        assert [HELLO] == [block["text"] for block in model.invoke(cue("hello")).content]
        asked = model.with_structured_output(Nested, method="json_schema")
        assert NESTED == asked.invoke(cue("nested"))
        bound = model.bind_tools([weather])
        talk: list[Any] = [messages.HumanMessage(cue("call")), bound.invoke(cue("call"))]
        [found] = talk[1].tool_calls
        assert ("weather", {"city": "Rome", "days": 3}) == (found["name"], found["args"])
        talk.append(weather.invoke(found))
        whole = None
        for part in bound.stream(talk):
            whole = part if whole is None else whole + part
        assert whole is not None
        assert AFTER == whole.text


def test_an_answer_in_a_call(model: Any) -> None:
    asked = model.with_structured_output(Nested, method="function_calling")
    assert NESTED == asked.invoke(cue("called"))
    assert NESTED == list(asked.stream(cue("called")))[-1]
    raw = model.with_structured_output(Nested, method="function_calling", include_raw=True)
    assert NESTED == raw.invoke(cue("called"))["parsed"]


@pytest.mark.parametrize("strict", [None, True])
def test_an_answer_as_a_dictionary(model: Any, strict: bool | None) -> None:
    schema = Nested.model_json_schema()
    asked = model.with_structured_output(schema, method="json_schema", strict=strict)
    assert NESTED.model_dump() == asked.invoke(cue("nested"))


def test_an_answer_as_json(model: Any) -> None:
    asked = model.with_structured_output(Nested, method="json_mode")
    assert NESTED == asked.invoke(f"Answer in JSON. {cue('nested')}")
    assert NESTED == list(asked.stream(cue("nested")))[-1]


@pytest.mark.parametrize("choice", ["auto", "any", "required", "weather", True])
def test_a_call(model: Any, choice: Any) -> None:
    bound = model.bind_tools([weather], tool_choice=choice)
    answer = bound.invoke(cue("call"))
    assert answer.content == ""
    (found,) = answer.tool_calls
    assert ("weather", {"city": "Rome", "days": 3}) == (found["name"], found["args"])

    whole = None
    for part in bound.stream(cue("call")):
        whole = part if whole is None else whole + part
    assert whole is not None
    assert [("weather", found["args"])] == [(one["name"], one["args"]) for one in whole.tool_calls]


def test_two_calls(model: Any) -> None:
    bound = model.bind_tools([weather], parallel_tool_calls=True)
    cities = [one["args"]["city"] for one in bound.invoke(cue("two calls")).tool_calls]
    assert ["Rome", "Paris"] == cities


def test_what_a_tool_answered_goes_back(model: Any) -> None:
    bound = model.bind_tools([weather])
    talk: list[Any] = [messages.SystemMessage("Be brief."), messages.HumanMessage(cue("call"))]
    talk.append(bound.invoke(talk))
    talk += [weather.invoke(one) for one in talk[-1].tool_calls]
    assert AFTER == bound.invoke(talk).content
    assert AFTER == "".join(part.content for part in bound.stream(talk))


def test_tools_beside_a_schema_for_the_answer(model: Any) -> None:
    bound = model.bind_tools([weather], response_format=Nested)
    assert [{"city": "Rome", "days": 3}] == [
        one["args"] for one in bound.invoke(cue("call")).tool_calls
    ]
    assert NESTED == bound.invoke(cue("nested")).additional_kwargs["parsed"]


def test_in_an_event_loop(url: str) -> None:
    async def ask() -> tuple[Any, str]:
        async with openai.DefaultAsyncHttpxClient() as client:
            model = connected(url, http_async_client=client)
            asked = model.with_structured_output(Nested)
            text = [part.content async for part in model.astream(cue("hello"))]
            return await asked.ainvoke(cue("nested")), "".join(text)

    assert (NESTED, HELLO) == asyncio.run(ask())
