"""LiteLLM, which speaks each of the protocols by the name before the model's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
from client_packages import package
from repertoire import cue
from servers import Served

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would ask for a list of prices
litellm = package("litellm")

pytestmark = pytest.mark.filterwarnings("ignore")  # it is full of warnings about itself
HELLO, AFTER = "Hello there, Zoë.", "It is sunny in Rome."
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "days": 3}}\n</tool_call>'
SAYS = ({"hello": HELLO, "call": CALL}, {"after": AFTER})
PATHS: Mapping[str, str] = {"openai/any": "/v1", "ollama_chat/any": "", "anthropic/any": ""}
"""What stands behind the server's address for each."""
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


def asked(server: Served, model: str, text: str, **fields: Any) -> Any:
    messages = fields.pop("messages", [{"role": "user", "content": text}])
    return litellm.completion(
        model=model, messages=messages, api_base=server.url + PATHS[model], api_key="none", **fields
    )


@pytest.mark.parametrize("model", PATHS)
def test_a_conversation(server: Served, model: str) -> None:
    assert HELLO == asked(server, model, cue("hello")).choices[0].message.content
    parts = asked(server, model, cue("hello"), stream=True)
    assert HELLO == "".join(part.choices[0].delta.content or "" for part in parts)


@pytest.mark.parametrize("model", PATHS)
def test_a_tool(server: Served, model: str) -> None:
    messages: list[Any] = [{"role": "user", "content": cue("call")}]
    message = asked(server, model, "", messages=messages, tools=[TOOL]).choices[0].message
    (called,) = message.tool_calls
    assert "weather" == called.function.name
    result = {"role": "tool", "tool_call_id": called.id, "content": f"sunny {cue('after')}"}
    messages += [message.model_dump(exclude_none=True), result]
    answer = asked(server, model, "", messages=messages, tools=[TOOL]).choices[0].message
    assert AFTER == answer.content


def test_responses(server: Served) -> None:
    found = litellm.responses(
        model="openai/any", input=cue("hello"), api_base=f"{server.url}/v1", api_key="none"
    )
    assert HELLO == found.output[-1].content[0].text
