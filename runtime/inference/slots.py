"""The sequences of a context: which tokens each holds, who uses it, which to take for a prompt.

All share one memory (llama.cpp's unified cache): one of them alone may fill it, and a prefix that
several begin with is there once. With a part of the memory for each, eight long answers at once
were up to a tenth faster, but no prefix could be shared: the engine copies whole parts only. What
an answer leaves behind stays until the room is needed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import ModelError
from runtime.model.llama_api import api


@dataclass(eq=False)
class Slot:
    """One sequence."""

    number: int
    held: list[int] = field(default_factory=list)
    """The tokens whose state is in the context's memory."""
    busy: bool = False
    used: int = 0
    """When it was used last; counts up."""


class Slots:
    """All sequences of a context."""

    def __init__(self, context: Any, count: int, *, rewinds: bool) -> None:
        """`rewinds` tells whether a part of a sequence can be taken back."""
        self._context = context
        self._memory = api.llama_get_memory(context)
        self._slots = [Slot(number) for number in range(count)]
        self._rewinds = rewinds
        self._clock = 0

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    @property
    def count(self) -> int:
        """Return how many there are."""
        return len(self._slots)

    @property
    def full(self) -> bool:
        """Tell whether all are busy."""
        return all(slot.busy for slot in self._slots)

    def shared(self, tokens: list[int]) -> int:
        """Return how many of the first `tokens` some busy slot holds."""
        busy = (slot for slot in self._slots if slot.busy)
        return max((self._usable(slot, tokens) for slot in busy), default=0)

    def take(self, tokens: list[int], *, reuse: bool = True) -> Slot | None:
        """Return a slot for `tokens`, holding as many of the first ones as any does.

        Without `reuse` it holds none.

        The last one is never among them: its logits are what the answer starts from. Return
        None when all slots are busy.
        """
        free = [slot for slot in self._slots if not slot.busy]
        if not free:
            return None
        source = max(self._slots, key=lambda slot: (self._usable(slot, tokens), not slot.busy))
        common = self._usable(source, tokens) if reuse else 0
        others = [slot for slot in free if slot is not source]
        # A conversation that goes on is taken over; one that merely begins alike is kept.
        if not source.busy and (not others or 2 * common >= len(source.held)):
            slot = source
            self.cut(slot, min(common, len(tokens) - 1))
        else:
            slot = min(others, key=lambda slot: (bool(slot.held), slot.used))
            self.cut(slot, 0)
            keep = min(common, len(tokens) - 1)
            if keep and (self._rewinds or keep == len(source.held)):
                api.llama_memory_seq_cp(self._memory, source.number, slot.number, 0, keep)
                slot.held = list(tokens[:keep])
        self.touch(slot)
        slot.busy = True
        return slot

    def touch(self, slot: Slot) -> None:
        """Note that the slot is in use now."""
        self._clock += 1
        slot.used = self._clock

    def cut(self, slot: Slot, keep: int) -> None:
        """Forget what the slot holds behind the first `keep` tokens; maybe all of it."""
        if keep < len(slot.held) and not api.llama_memory_seq_rm(
            self._memory, slot.number, keep, -1
        ):
            api.llama_memory_seq_rm(self._memory, slot.number, -1, -1)
            keep = 0
        del slot.held[keep:]

    def evict(self) -> bool:
        """Forget the slot that was unused for longest; return whether there was one."""
        idle = [slot for slot in self._slots if slot.held and not slot.busy]
        if not idle:
            return False
        self.cut(min(idle, key=lambda slot: slot.used), 0)
        return True

    def recover(self, slot: Slot) -> None:
        """Find out how much a slot still holds after a step that failed."""
        held = int(api.llama_memory_seq_pos_max(self._memory, slot.number)) + 1
        if held != len(slot.held):
            self.cut(slot, 0) if not self._rewinds else self.cut(slot, min(held, len(slot.held)))

    def save(self, tokens: list[int]) -> tuple[list[int], bytes]:
        """Return what the slot with the most of `tokens` holds, and its state."""
        slot = max(self._slots, key=lambda slot: common(slot.held, tokens))
        room = api.llama_state_seq_get_size(self._context, slot.number)
        buffer = (ctypes.c_uint8 * room)()
        size = api.llama_state_seq_get_data(self._context, buffer, room, slot.number)
        return list(slot.held), bytes(memoryview(buffer)[:size])

    def adopt(self, state: bytes | bytearray | memoryview, tokens: list[int]) -> None:
        """Put a state from `save` into a slot; raise ModelError where it does not fit."""
        free = [slot for slot in self._slots if not slot.busy]
        if not free:
            raise ModelError("all sequences are busy", hint="try again when an answer has ended")
        slot = min(free, key=lambda slot: (bool(slot.held), slot.used))
        self.cut(slot, 0)
        # What may be written to is used where it lies: states are large.
        view, kind = memoryview(state), ctypes.c_uint8 * len(state)
        buffer = kind.from_buffer_copy(view) if view.readonly else kind.from_buffer(view)
        while True:
            size = api.llama_state_seq_set_data(self._context, buffer, len(state), slot.number)
            held = int(api.llama_memory_seq_pos_max(self._memory, slot.number)) + 1
            if size == len(state) and held == len(tokens):
                break
            api.llama_memory_seq_rm(self._memory, slot.number, -1, -1)
            if size or not self.evict():
                raise ModelError("its state does not fit this model and context")
        slot.held = list(tokens)
        self.touch(slot)

    def _usable(self, slot: Slot, tokens: list[int]) -> int:
        """Return how many of the first `tokens` can be had from a slot."""
        count = common(slot.held, tokens)
        return count if self._rewinds or count == len(slot.held) else 0


def common(a: list[int], b: list[int]) -> int:
    """Return how many tokens two lists have in common at their start."""
    low, high = 0, min(len(a), len(b))
    # Halving, with slices that are compared in C: this is asked of every slot.
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
