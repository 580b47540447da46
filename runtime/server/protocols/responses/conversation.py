"""Items of a conversation, as the messages of a chat.

What one answer of the model consists of becomes one message: reasoning, text and calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from runtime import bounds
from runtime.chat_format import carried_reasoning
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.messages import (
    ChatMessage,
    FunctionCall,
    PlacedPart,
    TextPart,
    ToolCall,
)
from runtime.server.protocols.responses.requests import Item, Part, ToolDefinition
from runtime.server.protocols.responses.tools import arguments_for

Content = str | list[TextPart]
CALLS = ("function_call", "custom_tool_call")
OUTPUTS = ("function_call_output", "custom_tool_call_output")


class Conversation:
    """The messages of a chat, made from items."""

    def __init__(self, instructions: str | None) -> None:
        self.messages: list[ChatMessage] = []
        self.tools: list[ToolDefinition] = []
        """Tools that items bring along."""
        self.skipped: list[str] = []
        """Kinds of items that stand for what has happened elsewhere."""
        if instructions is not None:
            self.messages.append(ChatMessage(role="system", content=instructions))

    def add(self, item: Item, field: str) -> None:
        """Add an item; raise HTTPError if the `field` that it comes from is wrong."""
        kind = item.type or ("message" if item.role else "")
        if kind == "message":
            self._add_message(item, field)
        elif kind == "reasoning":
            self._add_reasoning(item)
        elif kind in CALLS:
            self._add_call(item, field)
        elif kind in OUTPUTS:
            self._add_output(item, field)
        elif kind == "additional_tools":
            self.tools += item.tools or ()
        elif not kind:
            raise HTTPError(400, f"'{field}' has neither a type nor a role", param=field)
        elif kind not in self.skipped:
            self.skipped.append(kind)

    def _add_message(self, item: Item, field: str) -> None:
        if item.role is None:
            _missing(f"{field}.role")
        if item.content is None:
            _missing(f"{field}.content")
        content = _content(item.content, f"{field}.content")
        if item.role != "assistant":
            self.messages.append(ChatMessage(role=item.role, content=content))
            return
        message = self._answer()
        message.content = _joined(message.content, content)

    def _add_reasoning(self, item: Item) -> None:
        parts = [item.content] if isinstance(item.content, str) else _texts(item.content)
        text = "\n".join(parts) or carried_reasoning.unpacked(item.encrypted_content or "")
        text = text or "\n".join(_texts(item.summary))
        if text:
            message = self._answer()
            before = f"{message.reasoning_content}\n" if message.reasoning_content else ""
            message.reasoning_content = before + text

    def _add_call(self, item: Item, field: str) -> None:
        if not item.name:
            _missing(f"{field}.name")
        if not item.call_id:
            _missing(f"{field}.call_id")
        if item.type == "custom_tool_call":
            called = FunctionCall(item.name, arguments_for(item.input or ""))
        else:
            called = FunctionCall(item.name, "{}" if item.arguments is None else item.arguments)
        message = self._answer()
        if len(message.tool_calls or ()) == bounds.CALLS:
            raise HTTPError(400, f"'{field}': more than {bounds.CALLS} calls together", param=field)
        message.tool_calls = [*(message.tool_calls or ()), ToolCall(called, item.call_id)]

    def _add_output(self, item: Item, field: str) -> None:
        if not item.call_id:
            _missing(f"{field}.call_id")
        output = [item.output] if isinstance(item.output, Part) else item.output
        if output is None:
            _missing(f"{field}.output")
        content = _content(output, f"{field}.output")
        self.messages.append(ChatMessage(role="tool", content=content, tool_call_id=item.call_id))

    def _answer(self) -> ChatMessage:
        """Return the assistant's message that is being put together."""
        if not self.messages or self.messages[-1].role != "assistant":
            self.messages.append(ChatMessage(role="assistant"))
        return self.messages[-1]


def items_of(given: str | Sequence[Item]) -> list[Item]:
    """Return an input as items."""
    if isinstance(given, str):
        return [Item(type="message", role="user", content=given)]
    return [*given]


def _content(given: str | Sequence[Part], field: str) -> Content:
    if isinstance(given, str):
        return given
    parts: list[TextPart] = []
    for place, part in enumerate(given):
        where = f"{field}[{place}]"
        text = part.refusal if part.type == "refusal" else part.text
        if part.type == "input_image" and part.image_url is not None:
            parts.append(PlacedPart("image_url", image_url=part.image_url, where=where))
        elif part.type == "input_audio" and part.input_audio is not None:
            parts.append(PlacedPart("input_audio", input_audio=part.input_audio, where=where))
        elif part.type in ("input_text", "output_text", "text", "refusal") and text is not None:
            parts.append(TextPart("text", text))
        else:
            raise HTTPError(
                400, f"'{where}' is of type '{part.type}': nothing in it can be read", param=where
            )
    alone = parts[0] if len(parts) == 1 else None
    return alone.text or "" if alone and alone.type == "text" else parts


def _joined(before: Content | None, more: Content) -> Content:
    """Return the content of two messages that are one to the model."""
    if not before:
        return more
    both = [[TextPart("text", one)] if isinstance(one, str) else one for one in (before, more)]
    return both[0] + both[1]


def _texts(parts: Sequence[Part] | None) -> list[str]:
    return [part.text for part in parts or () if part.text]


def _missing(field: str) -> NoReturn:
    raise HTTPError(400, f"'{field}' is missing", param=field)
