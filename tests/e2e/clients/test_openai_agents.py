"""OpenAI's agents, over both its APIs: tools, an output type, handing over, and streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import openai
import pytest
from client_packages import package
from repertoire import cue
from typed_answers import ANSWERS, Nested, as_json

agents = package("agents")

HELLO = "Hello there, Zoë."
AFTER = "It is sunny in Rome."
NESTED = ANSWERS["nested"]


def call(name: str, arguments: str) -> str:
    """Return what a model writes to call a tool, in the form of both templates."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


HELD = [name for name in ANSWERS if name not in ("maps",)]  # the client refuses free keys
SAYS = (
    {
        "hello": HELLO,
        "call": call("weather", '{"city": "Rome", "days": 3}'),
        "report": call("report", '{"city": "Rome"}'),
        "hand over": call("transfer_to_expert", "{}"),
        **{name: as_json(answer) for name, answer in ANSWERS.items()},
    },
    {
        "after": AFTER,
        "JSON after": NESTED.model_dump_json(indent=1),
    },
)


@agents.function_tool
def weather(city: str, days: int) -> str:
    """Tell the weather of a city.

    Args:
        city: Its name.
        days: How many days.
    """
    return f"sunny in {city} for {days} days {cue('after')}"


@agents.function_tool
def report(city: str) -> str:
    """Report about a city."""
    return f"sunny in {city} {cue('JSON after')}"


@pytest.fixture(params=["OpenAIResponsesModel", "OpenAIChatCompletionsModel"])
def run(request: pytest.FixtureRequest, url: str) -> Callable[..., Any]:
    """Return what runs an agent on a text, and gives its result."""

    def running(name: str, *, streamed: bool = False, **fields: Any) -> Any:
        async def go() -> Any:
            async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
                model = getattr(agents, request.param)("x", client)
                for other in fields.get("handoffs", ()):
                    other.model = model
                agent = agents.Agent("helper", model=model, instructions="Be brief.", **fields)
                if not streamed:
                    return await agents.Runner.run(agent, cue(name))
                result = agents.Runner.run_streamed(agent, cue(name))
                result.events = [event async for event in result.stream_events()]
                return result

        job: Coroutine[Any, Any, Any] = go()
        return asyncio.run(job)

    return running


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_text(run: Any, streamed: bool) -> None:
    result = run("hello", streamed=streamed)
    assert HELLO == result.final_output
    if streamed:
        raw = [event.data for event in result.events if event.type == "raw_response_event"]
        deltas = [one.delta for one in raw if one.type == "response.output_text.delta"]
        assert HELLO == "".join(deltas)


@pytest.mark.parametrize("name", HELD)
def test_an_answer_held_to_a_schema(run: Any, name: str) -> None:
    assert ANSWERS[name] == run(name, output_type=type(ANSWERS[name])).final_output


def test_an_answer_held_to_a_schema_that_is_not_strict(run: Any) -> None:
    kind = agents.AgentOutputSchema(type(ANSWERS["maps"]), strict_json_schema=False)
    assert ANSWERS["maps"] == run("maps", output_type=kind).final_output


@pytest.mark.parametrize("choice", [None, "required", "weather"])
def test_a_tool(run: Any, streamed: bool, choice: str | None) -> None:
    settings = agents.ModelSettings(tool_choice=choice, parallel_tool_calls=False)
    result = run("call", streamed=streamed, tools=[weather], model_settings=settings)
    assert AFTER == result.final_output
    kinds = [item.type for item in result.new_items]
    assert ["tool_call_item", "tool_call_output_item", "message_output_item"] == kinds


def test_a_tool_and_an_answer_held_to_a_schema(run: Any, streamed: bool) -> None:
    result = run("report", streamed=streamed, tools=[report], output_type=Nested)
    assert NESTED == result.final_output
    assert "tool_call_item" in [item.type for item in result.new_items]


def test_another_agent_takes_over(run: Any) -> None:
    expert = agents.Agent("expert", instructions=f"You know all. {cue('after')}")
    result = run("hand over", handoffs=[expert])
    assert (AFTER, "expert") == (result.final_output, result.last_agent.name)
