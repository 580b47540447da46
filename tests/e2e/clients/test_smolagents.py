"""Hugging Face's smolagents: an agent that calls tools, and one that writes its steps as code."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from client_packages import package
from repertoire import cue

smolagents = package("smolagents")

ANSWER = "It is sunny in Rome."


def call(name: str, arguments: str) -> str:
    """Return what a model writes to call a tool, in the form of both templates."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


SAYS = (
    {
        "call": call("weather", '{"city": "Rome", "days": 3}'),
        "code": "Thoughts: ask.\n<code>\nprint(weather('Rome', 3))\n</code>",
    },
    {
        "finish": call("final_answer", f'{{"answer": "{ANSWER}"}}'),
        "finish code": f"Thoughts: done.\n<code>\nfinal_answer('{ANSWER}')\n</code>",
    },
)


class Weather(smolagents.Tool):  # type: ignore[misc]
    """The weather, as such agents want their tools written."""

    name = "weather"
    description = "Tell the weather of a city."
    inputs: ClassVar = {
        "city": {"type": "string", "description": "Its name."},
        "days": {"type": "integer", "description": "How many days."},
    }
    output_type = "string"
    next_cue = ""

    def forward(self, city: str, days: int) -> str:
        return f"sunny in {city} for {days} days {self.next_cue}"


def tool(name: str) -> Any:
    """Return the weather, in whose results the cue `name` stands."""
    made = Weather()
    made.next_cue = cue(name)
    return made


@pytest.fixture
def model(url: str) -> Any:
    """Return a model as smolagents has it."""
    return smolagents.OpenAIModel("any", api_base=url, api_key="none")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_an_agent_that_calls_tools(model: Any, streamed: bool) -> None:
    agent = smolagents.ToolCallingAgent(
        tools=[tool("finish")], model=model, max_steps=3, stream_outputs=streamed
    )
    assert ANSWER == agent.run(cue("call"))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_an_agent_that_writes_code(model: Any, streamed: bool) -> None:
    agent = smolagents.CodeAgent(
        tools=[tool("finish code")], model=model, max_steps=3, stream_outputs=streamed
    )
    assert ANSWER == agent.run(cue("code"))
