"""Pydantic AI: agents with an output type in each of its ways, tools, and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from client_packages import package
from repertoire import cue
from typed_answers import ANSWERS, Address, Nested, as_json

pydantic_ai = package("pydantic_ai")
openai_models = package("pydantic_ai.models.openai")
openai_provider = package("pydantic_ai.providers.openai")
anthropic = package("anthropic")
anthropic_models = package("pydantic_ai.models.anthropic")
anthropic_provider = package("pydantic_ai.providers.anthropic")

HELLO = "Hello there, Zoë."
AFTER = "It is sunny in Rome."
NESTED = ANSWERS["nested"]
OUTPUT = "final_result"
"""The tool that an answer is given by."""


def call(name: str, arguments: str) -> str:
    """Return what a model writes to call a tool, in the form of both templates."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


ROME = call("weather", '{"city": "Rome", "days": 3}')
SAYS = (
    {
        "hello": HELLO,
        "call": ROME,
        "other call": ROME.replace("weather", "forecast"),
        "third call": ROME.replace("weather", "report"),
        "as JSON": as_json(NESTED),
        **{name: call(OUTPUT, as_json(answer)) for name, answer in ANSWERS.items()},
        "second kind": call(f"{OUTPUT}_Nested", as_json(NESTED)),
    },
    {
        "after": AFTER,
        "output": call(OUTPUT, NESTED.model_dump_json(indent=1)),
        "JSON after": NESTED.model_dump_json(indent=2),
    },
)


def weather(city: str, days: int) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city} for {days} days {cue('after')}"


def forecast(city: str, days: int) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city} for {days} days {cue('output')}"


def report(city: str, days: int) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city} for {days} days {cue('JSON after')}"


@pytest.fixture(params=["chat completions", "responses", "messages"])
def run(request: pytest.FixtureRequest, url: str) -> Callable[..., Any]:
    """Return what runs an agent on the text of a name, and gives its result."""
    if request.param == "messages" and not isinstance(anthropic.types.beta.BetaMessageParam, type):
        pytest.skip("this pydantic-ai makes requests of an older anthropic, of before 2.0")

    def running(name: str, **fields: Any) -> Any:
        async def go() -> Any:
            async with connected(url, request.param) as model:
                return await pydantic_ai.Agent(model, **fields).run(cue(name))

        return asyncio.run(go())

    return running


@asynccontextmanager
async def connected(url: str, protocol: str = "chat completions") -> AsyncIterator[Any]:
    """Give the model of a server, as agents take it."""
    if protocol == "messages":
        made = anthropic.AsyncAnthropic(
            base_url=url.removesuffix("/v1"), api_key="none", max_retries=0
        )
        async with made as other:
            provider = anthropic_provider.AnthropicProvider(anthropic_client=other)
            # By its name the client tells what a model can do.
            yield anthropic_models.AnthropicModel("claude-sonnet-5", provider=provider)
        return
    kinds = {
        "chat completions": openai_models.OpenAIChatModel,
        "responses": openai_models.OpenAIResponsesModel,
    }
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        provider = openai_provider.OpenAIProvider(openai_client=client)
        yield kinds[protocol]("x", provider=provider)


def test_a_text(run: Any) -> None:
    result = run("hello", instructions="Be brief.")
    assert HELLO == result.output
    assert result.usage.output_tokens > 3


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_in_a_call(run: Any, name: str) -> None:
    assert ANSWERS[name] == run(name, output_type=type(ANSWERS[name])).output


def test_one_of_several_outputs(run: Any) -> None:
    assert NESTED == run("second kind", output_type=[Address, Nested]).output


@pytest.mark.parametrize("way", ["NativeOutput", "PromptedOutput"])
def test_an_answer_as_json(run: Any, way: str) -> None:
    assert NESTED == run("as JSON", output_type=getattr(pydantic_ai, way)(Nested)).output


def test_a_tool(run: Any) -> None:
    result = run("call", tools=[weather])
    assert AFTER == result.output
    assert result.usage.tool_calls == 1


def test_a_tool_and_an_answer_in_a_call(run: Any) -> None:
    result = run("other call", tools=[forecast], output_type=Nested)
    assert NESTED == result.output
    assert result.usage.requests == 2


def test_a_tool_and_an_answer_as_json(run: Any) -> None:
    result = run("third call", tools=[report], output_type=pydantic_ai.NativeOutput(Nested))
    assert NESTED == result.output
    assert result.usage.tool_calls == 1


def test_streams(url: str) -> None:
    async def ask() -> tuple[str, str, Any, int]:
        async with connected(url) as model:
            async with pydantic_ai.Agent(model).run_stream(cue("hello")) as run:
                parts = [part async for part in run.stream_text(delta=True, debounce_by=None)]
            async with pydantic_ai.Agent(model, tools=[weather]).run_stream(cue("call")) as run:
                after = await run.get_output()
            agent = pydantic_ai.Agent(model, output_type=Nested)
            async with agent.run_stream(cue("nested")) as run:
                outputs = [part async for part in run.stream_output(debounce_by=None)]
        return "".join(parts), after, outputs[-1], len(outputs)

    text, after, output, number = asyncio.run(ask())
    assert (HELLO, AFTER, NESTED) == (text, after, output)
    assert number > 1
