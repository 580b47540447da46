"""Messages and tools in requests, in OpenAI's format, and converted for chat templates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from runtime import bounds
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.sampling_fields import Name
from runtime.server.service.media_input import MediaInput


class ImageURL(Struct):
    """Where a picture is: a data URL, or if the server may fetch it, an address."""

    url: str
    detail: str | None = None


class InputAudio(Struct):
    """A sound as base64."""

    data: str
    format: str | None = None


class TextPart(Struct):
    """A part of a message: text, or for models that take them, a picture or a sound."""

    type: str
    text: str | None = None
    image_url: ImageURL | str | None = None
    input_audio: InputAudio | None = None


class PlacedPart(TextPart):
    """A part that came in another protocol's request."""

    where: str = ""
    """The field there."""


class FunctionCall(Struct):
    """A called function and its arguments as JSON."""

    name: Name
    arguments: str | dict[str, Any] = "{}"


class ToolCall(Struct):
    """A tool call in an assistant message."""

    function: FunctionCall
    id: Name | None = None
    type: str = "function"


class ChatMessage(Struct, kw_only=True):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[TextPart], Meta(max_length=bounds.PARTS)] | None = None
    reasoning_content: str | None = None
    name: Name | None = None
    tool_calls: Annotated[list[ToolCall], Meta(max_length=bounds.CALLS)] | None = None
    tool_call_id: Name | None = None


ToolName = Annotated[str, Meta(pattern=rf"^[a-zA-Z0-9_.-]{{1,{bounds.TOOL_NAME}}}$")]


class Function(Struct):
    """A function that the model may call."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct):
    """A tool that the model may use."""

    function: Function
    type: Literal["function"] = "function"


def template_messages(messages: Iterable[ChatMessage], media: MediaInput) -> list[dict[str, Any]]:
    """Return messages as templates expect them; raise HTTPError if a part cannot be read."""
    return [_message(index, message, media) for index, message in enumerate(messages)]


def template_tools(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """Return tools as templates expect them."""
    return [_tool(tool) for tool in tools]


def _message(index: int, message: ChatMessage, media: MediaInput) -> dict[str, Any]:
    role = "tool" if message.role == "function" else message.role
    found: dict[str, Any] = {"role": role, "content": _content(index, message, media)}
    for key in ("name", "reasoning_content", "tool_call_id"):
        if value := getattr(message, key):
            found[key] = value
    if message.tool_calls:
        found["tool_calls"] = [
            _call(call, f"messages[{index}].tool_calls[{place}].function.arguments")
            for place, call in enumerate(message.tool_calls)
        ]
    return found


def _content(
    index: int, message: ChatMessage, media: MediaInput
) -> str | list[dict[str, Any]] | None:
    if not isinstance(message.content, list):
        return message.content if message.tool_calls else message.content or ""
    return [
        _part(part, _place(part) or f"messages[{index}].content[{place}]", media)
        for place, part in enumerate(message.content)
    ]


def _place(part: TextPart) -> str:
    return part.where if isinstance(part, PlacedPart) else ""


def _part(part: TextPart, where: str, media: MediaInput) -> dict[str, Any]:
    if part.type in ("text", "input_text", "output_text") and part.text is not None:
        return {"type": "text", "text": part.text}
    if part.type in ("image_url", "input_image") and part.image_url is not None:
        url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
        return media.picture(url, where)
    if part.type == "input_audio" and part.input_audio is not None:
        return media.sound(part.input_audio.data, where)
    raise HTTPError(
        400, f"'{where}' is of type '{part.type}': this model reads {media.kinds}", param=where
    )


def require_shallow(value: Any, field: str) -> None:
    """Raise HTTPError if a field of any form is nested deeper than what handles it may be."""
    level = [value]
    for _ in range(bounds.JSON_DEPTH):
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise HTTPError(400, f"'{field}' is nested deeper than {bounds.JSON_DEPTH} levels", param=field)


def _call(call: ToolCall, field: str) -> dict[str, Any]:
    """Return an earlier tool call as the library expects it: with its arguments as JSON text."""
    arguments = call.function.arguments
    if not isinstance(arguments, str):
        require_shallow(arguments, field)
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
