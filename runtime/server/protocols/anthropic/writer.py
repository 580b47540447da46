"""Blocks of a message as they are written, and the events that tell of them."""

from __future__ import annotations

import json
from typing import Any

from msgspec import UNSET

from runtime.chat_format import carried_reasoning
from runtime.server.protocols.answer_parts import NewParts
from runtime.server.protocols.anthropic.message import (
    AnswerBlock,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    InputDelta,
    SignatureDelta,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
)
from runtime.server.protocols.openai_types import CalledTool


class BlockWriter:
    """Writes the blocks of one answer."""

    def __init__(self, *, hides_thinking: bool = False) -> None:
        self.blocks: list[AnswerBlock] = []
        self._hides = hides_thinking
        self._open: AnswerBlock | None = None
        """The last of the blocks, as long as there may be more of it."""
        self._thought = ""
        self._input = ""
        """Of the open block."""

    def write(self, new: NewParts) -> list[Event]:
        """Write what is new of the answer."""
        out: list[Event] = []
        if new.reasoning:
            out += self._think(new.reasoning)
        if new.content:
            out += self._say(new.content)
        for call in new.calls:
            out += self._go_on_calling(call)
        return out

    def close(self) -> list[Event]:
        """End the last block; there may be others."""
        block, self._open = self._open, None
        if block is None:
            return []
        out: list[Event] = []
        if isinstance(block, ThinkingBlock):
            if self._hides:
                block.signature = carried_reasoning.packed(self._thought)
            else:
                block.thinking = self._thought
            out.append(self._delta(SignatureDelta(signature=block.signature)))
        elif isinstance(block, ToolUseBlock):
            block.input = _object(self._input)
        out.append(BlockStop(index=len(self.blocks) - 1))
        return out

    def _think(self, text: str) -> list[Event]:
        out: list[Event] = []
        if not isinstance(self._open, ThinkingBlock):
            out = self._begin(ThinkingBlock(), ThinkingBlock())
            self._thought = ""
        self._thought += text
        if not self._hides:
            out.append(self._delta(ThinkingDelta(thinking=text)))
        return out

    def _say(self, text: str) -> list[Event]:
        out: list[Event] = []
        block = self._open
        if not isinstance(block, TextBlock):
            # What is told when a block begins stays as it is; the block grows.
            block = TextBlock()
            out = self._begin(block, TextBlock())
        block.text += text
        out.append(self._delta(TextDelta(text=text)))
        return out

    def _go_on_calling(self, call: CalledTool) -> list[Event]:
        out: list[Event] = []
        if call.id is not UNSET:
            name = call.function.name or ""
            begun, told = (ToolUseBlock(id=str(call.id), name=name) for _ in range(2))
            out = self._begin(begun, told)
            self._input = ""
        if isinstance(self._open, ToolUseBlock) and call.function.arguments:
            self._input += call.function.arguments
            out.append(self._delta(InputDelta(partial_json=call.function.arguments)))
        return out

    def _begin(self, block: AnswerBlock, told: AnswerBlock) -> list[Event]:
        """End the block before, if there is one, and add another."""
        out = self.close()
        self.blocks.append(block)
        self._open = block
        return [*out, BlockStart(index=len(self.blocks) - 1, content_block=told)]

    def _delta(self, delta: Any) -> BlockDelta:
        """Return more of the last block."""
        return BlockDelta(index=len(self.blocks) - 1, delta=delta)


def _object(text: str) -> dict[str, Any]:
    """Return a call's input; none if it is not complete, or not what it must be."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
