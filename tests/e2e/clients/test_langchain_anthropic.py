"""LangChain's model of Anthropic: text, calls, what tools gave, structures, thinking, counts."""

from __future__ import annotations

from typing import Any

import pytest
from client_packages import package
from repertoire import cue
from server_client import get
from servers import Served
from typed_answers import ANSWERS, Nested, as_json

langchain_anthropic = package("langchain_anthropic")
messages = package("langchain_core.messages")
tools = package("langchain_core.tools")

HELLO = "Hello there, Zoë."
AFTER = "It is sunny in Rome."
THOUGHT = "They want a greeting."
NESTED = ANSWERS["nested"]


def call(name: str, arguments: str) -> str:
    """Return what a model writes to call a tool, in the form of both templates."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


SAYS = (
    {
        "hello": HELLO,
        "think": f"<think>\n{THOUGHT}\n</think>\n\nWell then: hi!",
        "call": call("weather", '{"city": "Rome", "days": 3}'),
        "called": call("Nested", as_json(NESTED)),
        "as JSON": NESTED.model_dump_json(indent=1),
    },
    {"after": AFTER},
)


@tools.tool
def weather(city: str, days: int) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city} for {days} days {cue('after')}"


@pytest.fixture
def model(server: Served) -> Any:
    return connected(server)


def connected(server: Served, **fields: Any) -> Any:
    """Return the model of a server."""
    return langchain_anthropic.ChatAnthropic(
        model="x", base_url=server.url, api_key="none", max_retries=0, **fields
    )


def streamed(parts: Any) -> Any:
    whole = None
    for part in parts:
        whole = part if whole is None else whole + part
    return whole


def test_a_text(model: Any) -> None:
    for answer in (model.invoke(cue("hello")), streamed(model.stream(cue("hello")))):
        assert HELLO == answer.text
        assert answer.usage_metadata["output_tokens"] > 3
        assert answer.response_metadata["stop_reason"] == "end_turn"


@pytest.mark.parametrize("choice", ["auto", "any", "weather"])
def test_a_call_and_what_it_gave(model: Any, choice: str) -> None:
    bound = model.bind_tools([weather], tool_choice=choice)
    for ask in (bound.invoke, lambda talk: streamed(bound.stream(talk))):
        talk: list[Any] = [messages.SystemMessage("Be brief."), messages.HumanMessage(cue("call"))]
        talk.append(ask(talk))
        [found] = talk[-1].tool_calls
        assert ("weather", {"city": "Rome", "days": 3}) == (found["name"], found["args"])
        talk.append(weather.invoke(found))
        free = model.bind_tools([weather])
        assert AFTER == free.invoke(talk).text == streamed(free.stream(talk)).text


def test_structures(model: Any) -> None:
    asked = model.with_structured_output(Nested, method="function_calling")
    assert NESTED == asked.invoke(cue("called"))
    asked = model.with_structured_output(Nested, method="json_schema")
    assert NESTED == asked.invoke(cue("as JSON"))


def test_thinking(server: Served) -> None:
    if not get(server, "/props")["modelembed"]["thinking"]:
        pytest.skip("this template has no place for it")
    model = connected(server, thinking={"type": "enabled", "budget_tokens": 2000}, max_tokens=3000)
    for answer in (model.invoke(cue("think")), streamed(model.stream(cue("think")))):
        thinking, text = answer.content
        assert THOUGHT == thinking["thinking"].strip()
        assert "hi!" in text["text"]
        talk = [messages.HumanMessage("Hi"), answer, messages.HumanMessage(cue("hello"))]
        assert HELLO == model.invoke(talk).text


def test_counts(model: Any) -> None:
    few = model.get_num_tokens_from_messages([messages.HumanMessage("Hi")])
    many = model.get_num_tokens_from_messages([messages.HumanMessage("Hi " * 100)])
    assert 0 < few < many
