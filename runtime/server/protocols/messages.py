"""Messages and tools in requests, in OpenAI's format, and converted for chat templates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from runtime.server.http.http_error import HTTPError


class TextPart(Struct):
    """A part of a message; only text is supported."""

    type: str
    text: str | None = None


class FunctionCall(Struct):
    """A called function and its arguments as JSON."""

    name: str
    arguments: str | dict[str, Any] = "{}"


class ToolCall(Struct):
    """A tool call in an assistant message."""

    function: FunctionCall
    id: str | None = None
    type: str = "function"


class ChatMessage(Struct, kw_only=True):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None
    reasoning_content: str | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class Function(Struct):
    """A function that the model may call."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct):
    """A tool that the model may use."""

    function: Function
    type: Literal["function"] = "function"


def template_messages(messages: Iterable[ChatMessage]) -> list[dict[str, Any]]:
    """Return messages as templates expect them; raise HTTPError if one is not text alone."""
    return [_message(index, message) for index, message in enumerate(messages)]


def template_tools(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """Return tools as templates expect them."""
    return [_tool(tool) for tool in tools]


def _message(index: int, message: ChatMessage) -> dict[str, Any]:
    role = "tool" if message.role == "function" else message.role
    found: dict[str, Any] = {"role": role, "content": _content(index, message)}
    for key in ("name", "reasoning_content", "tool_call_id"):
        if value := getattr(message, key):
            found[key] = value
    if message.tool_calls:
        found["tool_calls"] = [_call(call) for call in message.tool_calls]
    return found


def _content(index: int, message: ChatMessage) -> str | list[dict[str, str]] | None:
    if not isinstance(message.content, list):
        return message.content if message.tool_calls else message.content or ""
    texts = []
    for place, part in enumerate(message.content):
        if part.type not in ("text", "input_text", "output_text") or part.text is None:
            where = f"messages[{index}].content[{place}]"
            raise HTTPError(
                400, f"'{where}' is of type '{part.type}': this model reads text only", param=where
            )
        texts.append({"type": "text", "text": part.text})
    return texts


def _call(call: ToolCall) -> dict[str, Any]:
    """Return an earlier tool call as the library expects it: with its arguments as JSON text."""
    arguments = call.function.arguments
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    else:
        try:
            msgspec.json.decode(arguments)
        except (msgspec.DecodeError, RecursionError):
            # Templates take it apart; a model may have written what is no JSON.
            arguments = msgspec.json.encode({"arguments": arguments}).decode()
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id or "", "type": "function", "function": function}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.function.name}
    if tool.function.description is not None:
        function["description"] = tool.function.description
    parameters = tool.function.parameters
    function["parameters"] = parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}
