"""Messages and tools of requests, as chat templates want them."""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.dialogue import reasoning
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols import openai_types as openai


def plain(index: int, message: openai.ChatMessage) -> dict[str, Any]:
    """Return a message as templates expect it."""
    role = "system" if message.role == "developer" else message.role
    role = "tool" if role == "function" else role
    plain: dict[str, Any] = {"role": role, "content": _content(index, message)}
    for key in ("name", "reasoning_content", "tool_call_id"):
        if value := getattr(message, key):
            plain[key] = value
    if message.tool_calls:
        plain["tool_calls"] = [_called(call) for call in message.tool_calls]
    return plain


def _content(index: int, message: openai.ChatMessage) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    texts = []
    for place, part in enumerate(message.content):
        if part.type not in ("text", "input_text", "output_text") or part.text is None:
            where = f"messages[{index}].content[{place}]"
            raise HTTPError(
                400, f"'{where}' is of type '{part.type}': this model reads text only", param=where
            )
        texts.append(part.text)
    return "\n".join(texts)


def _called(call: openai.ToolCall) -> dict[str, Any]:
    """Return an earlier call; templates want its arguments as an object."""
    arguments: Any = call.function.arguments
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except (msgspec.DecodeError, RecursionError):
            arguments = {"arguments": arguments}
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id or "", "type": "function", "function": function}


def openai_tool(tool: openai.Tool) -> dict[str, Any]:
    """Return a tool as templates expect it."""
    function: dict[str, Any] = {"name": tool.function.name}
    if tool.function.description is not None:
        function["description"] = tool.function.description
    parameters = tool.function.parameters
    function["parameters"] = parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def thinking_variables(request: Any, *, held: bool = False) -> dict[str, Any]:
    """Return the variables of the chat template that a request sets.

    An answer that is held to a form leaves no room for thoughts.
    """
    variables: dict[str, Any] = {}
    effort = request.reasoning_effort
    if effort is not None:
        variables["reasoning_effort"] = effort
    silent = effort == "none" or request.reasoning_budget == 0
    if silent or held or request.thinking_budget_tokens == 0:
        variables |= dict.fromkeys(reasoning.SWITCHES, False)
    return variables | (request.chat_template_kwargs or {})
