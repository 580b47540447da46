"""Turns of a conversation in blocks, as the messages of a chat.

Turns of one role that follow each other are one message. What tools gave comes before what else the
user says in the same turn: it answers the turn before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from runtime import bounds
from runtime.chat_format import carried_reasoning
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.anthropic.requests import Block, Leaf, Reading, Source, Turn
from runtime.server.protocols.messages import (
    ChatMessage,
    FunctionCall,
    PlacedPart,
    TextPart,
    ToolCall,
)

BILLING = re.compile(r"x-anthropic-billing-header:(?:[ \t]*[\w-]+=[^;\s]*(?:;|(?=\n)|$))*[ \t]*\n?")
"""A line that one client puts before the system prompt. It says nothing to a model, and a part of
it is new with each request: nothing behind it would be found in the cache."""


class Conversation:
    """The messages of a chat, made from turns."""

    def __init__(self, system: str | Sequence[Block] | None) -> None:
        self.messages: list[ChatMessage] = []
        self.skipped: list[str] = []
        """Kinds of blocks that stand for what has happened elsewhere."""
        if system is not None:
            blocks = [Block(type="text", text=system)] if isinstance(system, str) else system
            text = "".join(_without_billing(block.text or "") for block in blocks)
            self.messages.append(ChatMessage(role="system", content=text))

    def add(self, turn: Turn, field: str) -> None:
        """Add a turn; raise HTTPError if the `field` that it comes from is wrong."""
        blocks = turn.content
        if isinstance(blocks, str):
            blocks = [Block(type="text", text=blocks)]
        places = [(f"{field}.content[{place}]", block) for place, block in enumerate(blocks)]
        if turn.role == "assistant":
            message = self._turn_of("assistant")
            for where, block in places:
                self._add_answered(message, block, where)
            return
        parts = []
        for where, block in places:
            if block.type == "tool_result":
                self._add_result(block, where)
            else:
                parts += self._parts(block, where)
        if parts:
            _add_parts(self._turn_of(turn.role), parts)

    def _add_answered(self, message: ChatMessage, block: Block, field: str) -> None:
        if block.type == "thinking":
            thought = block.thinking or carried_reasoning.unpacked(block.signature or "")
            message.reasoning_content = (message.reasoning_content or "") + thought or None
        elif block.type == "tool_use":
            calls = message.tool_calls or []
            if not block.name:
                raise HTTPError(400, f"'{field}.name' is missing", param=f"{field}.name")
            if len(calls) == bounds.CALLS:
                raise HTTPError(
                    400, f"'{field}': more than {bounds.CALLS} calls together", param=field
                )
            call = ToolCall(FunctionCall(block.name, block.input or {}), block.id)
            message.tool_calls = [*calls, call]
        else:
            _add_parts(message, self._parts(block, field))

    def _add_result(self, block: Block, field: str) -> None:
        if not block.tool_use_id:
            raise HTTPError(400, f"'{field}.tool_use_id' is missing", param=f"{field}.tool_use_id")
        content: str | list[TextPart] = block.content if isinstance(block.content, str) else ""
        if isinstance(block.content, list):
            content = [
                part
                for place, one in enumerate(block.content)
                for part in self._parts(one, f"{field}.content[{place}]")
            ]
            if all(part.type == "text" for part in content):
                content = "".join(part.text or "" for part in content)
        self.messages.append(
            ChatMessage(role="tool", content=content, tool_call_id=block.tool_use_id)
        )

    def _parts(self, block: Reading | Block, field: str) -> list[TextPart]:
        """Return a block's picture or texts; none if it stands for what has happened elsewhere."""
        if block.type == "image" and isinstance(block.source, Source):
            given = block.source.url if block.source.type == "url" else block.source.data
            if given is None or block.source.type not in ("url", "base64"):
                raise _no_text(f"image, {block.source.type}", field)
            return [PlacedPart("image_url", image_url=given, where=field)]
        return [TextPart("text", text) for text in self._texts(block, field)]

    def _texts(self, block: Reading | Block, field: str) -> list[str]:
        """Return the texts of a block."""
        if block.type == "text" and block.text is not None:
            return [block.text]
        if block.type == "document" and isinstance(block.source, Source):
            about = [text for text in (block.title, block.context) if text]
            return ["\n".join([*about, _document(block.source, field)])]
        if block.type == "search_result" and isinstance(block.content, list):
            about = [text for text in (block.title, block.source) if isinstance(text, str)]
            texts = [_text(one, field) for one in block.content]
            return ["\n".join([*about, *texts])]
        if block.type in ("text", "document", "image"):
            raise _no_text(block.type, field)
        if block.type not in self.skipped:
            self.skipped.append(block.type)
        return []

    def _turn_of(self, role: Literal["user", "assistant", "system"]) -> ChatMessage:
        """Return the message of a role that goes on, or a new one."""
        if not self.messages or self.messages[-1].role != role or role == "system":
            self.messages.append(ChatMessage(role=role))
        return self.messages[-1]


def _without_billing(text: str) -> str:
    """Return a part of a system prompt without the line of billing that it may begin with."""
    found = BILLING.match(text)
    return text[found.end() :] if found else text


def _document(source: Source, field: str) -> str:
    """Return the text of a document; raise HTTPError if it has another form."""
    if source.type == "text" and source.data is not None:
        return source.data
    if source.type != "content" or source.content is None:
        raise _no_text(f"document, {source.type}", field)
    if isinstance(source.content, str):
        return source.content
    return "".join(_text(one, field) for one in source.content)


def _text(block: Leaf, field: str) -> str:
    """Return the text of a block within another; raise HTTPError if it has none."""
    if block.type != "text" or block.text is None:
        raise _no_text(block.type, field)
    return block.text


def _no_text(kind: str, field: str) -> HTTPError:
    return HTTPError(400, f"'{field}' is of type '{kind}': nothing in it can be read", param=field)


def _add_parts(message: ChatMessage, more: Sequence[TextPart]) -> None:
    if not more:
        return
    before = message.content or []
    parts = [TextPart("text", before)] if isinstance(before, str) else before
    parts = [*parts, *more]
    alone = parts[0] if len(parts) == 1 else None
    message.content = alone.text or "" if alone and alone.type == "text" else parts
