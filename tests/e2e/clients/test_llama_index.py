"""LlamaIndex, by its client for servers that speak as OpenAI's does: texts, streams, tools."""

from __future__ import annotations

from typing import Any

import pytest
from client_packages import package
from repertoire import cue
from typed_answers import ANSWERS, Nested, as_json

openai_like = package("llama_index.llms.openai_like")
llms = package("llama_index.core.llms")
tools = package("llama_index.core.tools")

HELLO, AFTER = "Hello there, Zoë.", "It is sunny in Rome."
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "days": 3}}\n</tool_call>'
NESTED = ANSWERS["nested"]
TYPED = f'<tool_call>\n{{"name": "Nested", "arguments": {as_json(NESTED)}}}\n</tool_call>'
SAYS = ({"hello": HELLO, "call": CALL, "typed": TYPED}, {"after": AFTER})


@pytest.fixture
def model(url: str) -> Any:
    """Return a model as LlamaIndex has it, told that it can call tools."""
    return openai_like.OpenAILike(
        model="any",
        api_base=url,
        api_key="none",
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=8192,
        max_retries=0,
    )


def weather(city: str, days: int) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city} for {days} days {cue('after')}"


def test_a_text(model: Any) -> None:
    question = [llms.ChatMessage(role="user", content=cue("hello"))]
    assert HELLO == model.chat(question).message.content
    assert HELLO == "".join(part.delta or "" for part in model.stream_chat(question))


def test_a_tool(model: Any) -> None:
    tool = tools.FunctionTool.from_defaults(weather)
    result = model.predict_and_call([tool], cue("call"))
    assert f"sunny in Rome for 3 days {cue('after')}" == result.response


def test_a_tools_result_goes_back(model: Any) -> None:
    tool = tools.FunctionTool.from_defaults(weather)
    history = [llms.ChatMessage(role="user", content=cue("call"))]
    asked = model.chat_with_tools([tool], chat_history=history)
    (call,) = model.get_tool_calls_from_response(asked)
    assert {"city": "Rome", "days": 3} == call.tool_kwargs
    result = llms.ChatMessage(
        role="tool",
        content=weather(**call.tool_kwargs),
        additional_kwargs={"tool_call_id": call.tool_id},
    )
    assert AFTER == model.chat([*history, asked.message, result]).message.content


def test_an_answer_of_a_type(model: Any) -> None:
    question = [llms.ChatMessage(role="user", content=cue("typed"))]
    assert NESTED == model.as_structured_llm(Nested).chat(question).raw
