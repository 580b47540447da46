"""KV-cache slots: which tokens each sequence holds, prefix reuse, eviction.

All sequences share one unified KV cache: a single one may fill it, and a common prefix is stored
once. With a separate part per sequence, eight long answers at once ran up to 10% faster, but no
prefix could be shared, since the engine then copies only whole sequences. A finished answer's
tokens stay cached until the room is needed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import ModelError
from runtime.model.llama_api import api, log


@dataclass(eq=False)
class Slot:
    """One sequence of the context."""

    number: int
    """Its llama_seq_id."""
    held: list[int] = field(default_factory=list)
    """The tokens in the KV cache, from position 0 on."""
    busy: bool = False
    used: int = 0
    """Logical time of the last use, for eviction."""


class Slots:
    """All sequences of a context; used by the decoding thread only."""

    def __init__(self, context: Any, count: int, *, can_rewind: bool) -> None:
        """`context` is a `llama_context*`; `can_rewind` is whether a sequence can be truncated."""
        self._context = context
        self._memory = api.llama_get_memory(context)
        self._slots = [Slot(number) for number in range(count)]
        self._can_rewind = can_rewind
        self._clock = 0

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    @property
    def count(self) -> int:
        """Return the number of slots."""
        return len(self._slots)

    @property
    def full(self) -> bool:
        """Return whether all slots are busy."""
        return all(slot.busy for slot in self._slots)

    def shared_prefix_length(self, tokens: list[int]) -> int:
        """Return the length in tokens of the longest prefix of `tokens` in a busy slot."""
        busy = (slot for slot in self._slots if slot.busy)
        return max((self._reusable_length(slot, tokens) for slot in busy), default=0)

    def acquire(self, tokens: list[int], *, reuse: bool = True) -> Slot | None:
        """Return a free slot with the longest cached prefix of `tokens`, None if all are busy.

        The slot is then busy. The prefix never includes the last token, whose logits the answer
        starts from. It is empty without `reuse`.
        """
        free = [slot for slot in self._slots if not slot.busy]
        if not free:
            return None
        source = max(
            self._slots, key=lambda slot: (self._reusable_length(slot, tokens), not slot.busy)
        )
        common = self._reusable_length(source, tokens) if reuse else 0
        others = [slot for slot in free if slot is not source]
        # Continue in the same slot if at least half of it is reused; otherwise copy the prefix.
        if not source.busy and (not others or 2 * common >= len(source.held)):
            slot = source
            self.truncate(slot, min(common, len(tokens) - 1))
        else:
            slot = min(others, key=lambda slot: (bool(slot.held), slot.used))
            self.truncate(slot, 0)
            keep = min(common, len(tokens) - 1)
            if keep and (self._can_rewind or keep == len(source.held)):
                api.llama_memory_seq_cp(self._memory, source.number, slot.number, 0, keep)
                slot.held = list(tokens[:keep])
        self.touch(slot)
        slot.busy = True
        return slot

    def touch(self, slot: Slot) -> None:
        """Mark the slot as the most recently used."""
        self._clock += 1
        slot.used = self._clock

    def truncate(self, slot: Slot, keep: int) -> None:
        """Remove all but the first `keep` tokens; all of them if the engine cannot do that."""
        if keep < len(slot.held) and not api.llama_memory_seq_rm(
            self._memory, slot.number, keep, -1
        ):
            api.llama_memory_seq_rm(self._memory, slot.number, -1, -1)
            keep = 0
        del slot.held[keep:]

    def evict(self) -> bool:
        """Clear the least recently used idle slot; return whether there was one."""
        idle = [slot for slot in self._slots if slot.held and not slot.busy]
        if not idle:
            return False
        self.truncate(min(idle, key=lambda slot: slot.used), 0)
        return True

    def recover(self, slot: Slot) -> None:
        """Synchronise `held` with the KV cache after a failed decode step."""
        held = int(api.llama_memory_seq_pos_max(self._memory, slot.number)) + 1
        if held != len(slot.held):
            self.truncate(slot, min(held, len(slot.held)) if self._can_rewind else 0)

    def save_state(self, tokens: list[int]) -> tuple[list[int], bytes]:
        """Return the tokens and the state of the slot with the longest prefix of `tokens`.

        The state is a copy, in the format that llama_state_seq_get_data writes.
        """
        slot = max(self._slots, key=lambda slot: common_prefix_length(slot.held, tokens))
        room = api.llama_state_seq_get_size(self._context, slot.number)
        buffer = (ctypes.c_uint8 * room)()
        size = api.llama_state_seq_get_data(self._context, buffer, room, slot.number)
        return list(slot.held), bytes(memoryview(buffer)[:size])

    def load_state(self, state: bytes | bytearray | memoryview, tokens: list[int]) -> None:
        """Load a state from `save_state`, of exactly `tokens`, into a free slot.

        A writable buffer is passed to the engine without a copy; it is not needed afterwards. Raise
        ModelError if all slots are busy, or the state does not fit this model and context.
        """
        free = [slot for slot in self._slots if not slot.busy]
        if not free:
            raise ModelError("all sequences are busy", hint="try again when an answer has ended")
        slot = min(free, key=lambda slot: (bool(slot.held), slot.used))
        self.truncate(slot, 0)
        # ctypes can use a writable buffer without copying it; states are large.
        view, kind = memoryview(state), ctypes.c_uint8 * len(state)
        buffer = kind.from_buffer_copy(view) if view.readonly else kind.from_buffer(view)
        while True:
            with log.captured() as call:
                size = api.llama_state_seq_set_data(self._context, buffer, len(state), slot.number)
            held = int(api.llama_memory_seq_pos_max(self._memory, slot.number)) + 1
            if size == len(state) and held == len(tokens):
                break
            api.llama_memory_seq_rm(self._memory, slot.number, -1, -1)
            if size or not self.evict():
                why = f": {call.reason}" if call.reason else ""
                raise ModelError(f"its state does not fit this model and context{why}")
        slot.held = list(tokens)
        self.touch(slot)

    def _reusable_length(self, slot: Slot, tokens: list[int]) -> int:
        """Return the length of the prefix of `tokens` that can be reused from a slot."""
        count = common_prefix_length(slot.held, tokens)
        return count if self._can_rewind or count == len(slot.held) else 0


def common_prefix_length(a: list[int], b: list[int]) -> int:
    """Return the length of the common prefix of two token lists."""
    low, high = 0, min(len(a), len(b))
    # Binary search with slices, which are compared in C: this runs for every slot.
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
