"""Ollama's own client: conversations, questions, streams, tools, schemas, and the one model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from client_packages import package
from repertoire import cue
from servers import Served
from typed_answers import ANSWERS, Nested, as_json

ollama = package("ollama")

HELLO = "Hello there, Zoë."
AFTER = "It is sunny in Rome."
NESTED = ANSWERS["nested"]


def call(name: str, arguments: str) -> str:
    """Return what a model writes to call a tool, in the form of both templates."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


SAYS = (
    {
        "hello": HELLO,
        "call": call("weather", '{"city": "Rome", "days": 3}'),
        "two calls": call("weather", '{"city": "Oslo", "days": 7}')
        + "\n"
        + call("forecast", '{"city": "Bern", "days": 1}'),
        "nested": as_json(NESTED),
        "JSON": '{"anything": [1, "two"]}',
    },
    {"after": AFTER},
)


def weather(city: str, days: int) -> str:
    """Tell the weather of a city.

    Args:
        city: where
        days: for how long
    """
    return f"sunny in {city} for {days} days {cue('after')}"


def forecast(city: str, days: int) -> str:
    """Tell the weather of a city to come."""
    return f"rain in {city} for {days} days"


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Any]:
    with ollama.Client(server.url) as found:
        yield found


@pytest.fixture(scope="module")
def name(client: Any) -> str:
    return str(client.list().models[0].model)


def asked(name: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": cue(name)}]


def test_a_conversation(client: Any, name: str) -> None:
    answer = client.chat(name, asked("hello"))
    assert HELLO == answer.message.content
    assert ("assistant", None) == (answer.message.role, answer.message.tool_calls)
    assert (name, True, "stop") == (answer.model, answer.done, answer.done_reason)
    assert answer.eval_count > 3
    assert answer.prompt_eval_count > 3
    assert answer.total_duration >= answer.prompt_eval_duration + answer.eval_duration > 0
    assert HELLO == client.chat("any-model:7b", asked("hello")).message.content


def test_a_conversation_as_it_comes(client: Any, name: str) -> None:
    parts = list(client.chat(name, asked("hello"), stream=True))
    assert HELLO == "".join(part.message.content for part in parts)
    assert len(parts) > 1
    assert [False] * (len(parts) - 1) + [True] == [part.done for part in parts]
    assert "stop" == parts[-1].done_reason
    assert parts[-1].eval_count >= len(parts) - 1


def test_a_question(client: Any, name: str) -> None:
    answer = client.generate(name, cue("hello"))
    assert HELLO == answer.response
    parts = list(client.generate(name, cue("hello"), stream=True))
    assert HELLO == "".join(part.response for part in parts)
    assert parts[-1].context == answer.context
    assert len(answer.context) == answer.prompt_eval_count + answer.eval_count


def test_a_question_that_goes_on(client: Any, name: str) -> None:
    before = client.generate(name, cue("hello"))
    answer = client.generate(name, cue("after"), context=before.context)
    assert AFTER == answer.response
    assert before.context == answer.context[: len(before.context)]


def test_a_prompt_as_it_is(client: Any, name: str) -> None:
    answer = client.generate(name, f"{cue('hello')}", raw=True)
    assert HELLO == answer.response
    assert 1 == answer.prompt_eval_count


def test_a_tool(client: Any, name: str) -> None:
    messages: list[Any] = [*asked("call")]
    message = client.chat(name, messages, tools=[weather]).message
    (called,) = message.tool_calls
    assert ("weather", {"city": "Rome", "days": 3}) == (
        called.function.name, called.function.arguments,
    )  # fmt: skip
    result = weather(**called.function.arguments)
    messages += [message, {"role": "tool", "tool_name": "weather", "content": result}]
    answer = client.chat(name, messages, tools=[weather]).message
    assert (AFTER, None) == (answer.content, answer.tool_calls)


def test_tools_as_they_come(client: Any, name: str) -> None:
    parts = client.chat(name, asked("two calls"), tools=[weather, forecast], stream=True)
    calls = [one.function for part in parts for one in part.message.tool_calls or ()]
    assert [("weather", "Oslo"), ("forecast", "Bern")] == [
        (one.name, one.arguments["city"]) for one in calls
    ]


def test_a_schema(client: Any, name: str) -> None:
    answer = client.chat(name, asked("nested"), format=Nested.model_json_schema())
    assert NESTED == Nested.model_validate_json(answer.message.content)
    parts = client.generate(name, cue("nested"), format=Nested.model_json_schema(), stream=True)
    assert NESTED == Nested.model_validate_json("".join(part.response for part in parts))
    assert SAYS[0]["JSON"] == client.chat(name, asked("JSON"), format="json").message.content


def test_options(client: Any, name: str) -> None:
    short = client.chat(name, asked("hello"), options={"num_predict": 2, "num_ctx": 9000.0})
    assert (2, "length") == (short.eval_count, short.done_reason)
    stopped = client.chat(name, asked("hello"), options={"stop": ["there"], "top_k": 3.0})
    assert ("Hello ", "stop") == (stopped.message.content, stopped.done_reason)
    whole = ollama.Options(temperature=0.5, num_predict=-2, seed=4, repeat_last_n=-1)
    assert client.chat(name, asked("hello"), options=whole, keep_alive="5m").done
    with pytest.raises(ollama.ResponseError, match=r"'options\.temperature' is -1") as caught:
        client.chat(name, asked("hello"), options={"temperature": -1})
    assert 400 == caught.value.status_code


def test_log_probabilities(client: Any, name: str) -> None:
    answer = client.chat(name, asked("hello"), logprobs=True, top_logprobs=2)
    assert answer.eval_count == len(answer.logprobs)
    told = "".join(one.token for one in answer.logprobs)
    assert HELLO.replace("ë", "") == told.replace("\ufffd", "")  # its bytes are in two tokens
    assert [2] * answer.eval_count == [len(one.top_logprobs) for one in answer.logprobs]
    assert all(one.logprob == one.top_logprobs[0].logprob for one in answer.logprobs)


def test_the_one_model(client: Any, name: str) -> None:
    (listed,), (running,) = client.list().models, client.ps().models
    assert "repertoire:latest" == name == running.model
    assert listed.digest == running.digest
    assert 64 == len(listed.digest)
    assert listed.size == running.size > 10**6
    shown = client.show(name)
    assert {"completion", "tools"} <= {*shown.capabilities}
    assert "llama" == shown.details.family == shown.modelinfo["general.architecture"]
    assert 16384 == shown.modelinfo["llama.context_length"]
    assert "messages" in shown.template
    with pytest.raises(ollama.ResponseError, match="model 'other' not found") as caught:
        client.show("other")
    assert 404 == caught.value.status_code


def test_that_the_model_is_loaded(client: Any, name: str) -> None:
    assert "load" == client.generate(name).done_reason
    assert "load" == client.chat(name, []).done_reason
    assert "unload" == client.generate(name, keep_alive=0).done_reason


def test_what_only_a_store_of_models_can_do(client: Any, name: str) -> None:
    assert "success" == client.pull(name).status
    assert ["success"] == [one.status for one in client.pull("repertoire", stream=True)]
    for action in (
        lambda: client.pull("llama3"),
        lambda: list(client.pull("llama3", stream=True)),
        lambda: client.push(name),
        lambda: client.create("mine", from_=name),
        lambda: client.copy(name, "mine"),
        lambda: client.delete(name),
    ):
        with pytest.raises(ollama.ResponseError, match="carries its one model") as caught:
            action()
        assert 501 == caught.value.status_code
    with pytest.raises(ollama.ResponseError, match="no token for prefix"):
        client.generate(name, "def f(", suffix="return 1")
    with pytest.raises(ollama.ResponseError, match="not made for embeddings"):
        client.embed(name, "hello")
    with pytest.raises(ollama.ResponseError, match="reads text only"):
        client.chat(name, [{"role": "user", "content": "what is it?", "images": [b"GIF"]}])


def test_in_an_event_loop(server: Served, name: str) -> None:
    async def ask() -> tuple[str, str]:
        client = ollama.AsyncClient(server.url)
        answer = await client.chat(name, asked("hello"))
        parts = [part async for part in await client.chat(name, asked("hello"), stream=True)]
        await client.close()
        return answer.message.content, "".join(part.message.content for part in parts)

    assert (HELLO, HELLO) == asyncio.run(ask())
