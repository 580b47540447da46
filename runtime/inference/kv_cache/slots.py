"""KV-cache slots: which tokens each sequence holds, prefix reuse, eviction.

All sequences share one unified KV cache: a single one may fill it, and a common prefix is stored
once. With a separate part per sequence, eight long answers at once ran up to 10% faster, but no
prefix could be shared, since the engine then copies only whole sequences. A finished answer's
tokens stay cached until the room is needed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import ModelError
from runtime.inference.manner import NO_ADAPTERS, Adapters
from runtime.model.llama_api import api, log
from runtime.model.projector.media_prompt import lag_of, whole_length


@dataclass(eq=False)
class Slot:
    """One sequence of the context."""

    number: int
    """Its llama_seq_id."""
    held: list[int] = field(default_factory=list)
    """The tokens in the KV cache, from position 0 on, and cells of pictures and sounds."""
    lag: int = 0
    """By how much the position behind them is less than their number."""
    adapters: Adapters = NO_ADAPTERS
    """What they were computed with; other answers cannot use them."""
    busy: bool = False
    used: int = 0
    """Logical time of the last use, for eviction."""

    @property
    def position(self) -> int:
        """Return the position of the next token."""
        return len(self.held) - self.lag

    def position_of(self, index: int) -> int:
        """Return the position of what is at `index` of what it holds."""
        return index - (lag_of(self.held[:index]) if self.lag else 0)

    def extend(self, tokens: Sequence[int]) -> None:
        """Note that these follow in the KV cache now."""
        self.held += tokens
        if tokens[0] < 0:  # cells are never mixed with tokens
            self.lag += lag_of(tokens)

    def forget(self, keep: int) -> None:
        """Note that only the first `keep` are there still."""
        self.lag = keep - self.position_of(keep)
        del self.held[keep:]


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

    def shared_prefix_length(self, tokens: list[int], adapters: Adapters = NO_ADAPTERS) -> int:
        """Return the length in tokens of the longest prefix of `tokens` in a busy slot."""
        busy = (slot for slot in self._slots if slot.busy)
        return max((self._reusable_length(slot, tokens, adapters) for slot in busy), default=0)

    def acquire(
        self,
        tokens: list[int],
        *,
        reuse: bool = True,
        wanted: int = -1,
        adapters: Adapters = NO_ADAPTERS,
    ) -> Slot | None:
        """Return a free slot with the longest cached prefix of `tokens`, None if all are busy.

        With `wanted`, only that slot, counted round, will do. The slot is then busy. The prefix
        never includes the last token, whose logits the answer starts from, and was computed with
        the same `adapters`. It is empty without `reuse`.
        """
        free = [slot for slot in self._slots if not slot.busy]
        if wanted >= 0:
            free = [slot for slot in free if slot.number == wanted % self.count]
        if not free:
            return None

        def use(slot: Slot) -> tuple[int, bool]:
            return self._reusable_length(slot, tokens, adapters), slot in free

        source = max(self._slots, key=use)
        common = use(source)[0] if reuse else 0
        others = [slot for slot in free if slot is not source]
        # Continue in the same slot if at least half of it is reused; otherwise copy the prefix.
        if source in free and (not others or 2 * common >= len(source.held)):
            slot = source
            self.truncate(slot, min(common, len(tokens) - 1))
        else:
            slot = min(others, key=lambda slot: (bool(slot.held), slot.used))
            self.truncate(slot, 0)
            keep = min(common, len(tokens) - 1)
            if keep and (self._can_rewind or keep == len(source.held)):
                end = source.position_of(keep)
                api.llama_memory_seq_cp(self._memory, source.number, slot.number, 0, end)
                slot.held = list(tokens[:keep])
                slot.lag = keep - end
        self.touch(slot)
        slot.busy = True
        slot.adapters = adapters
        return slot

    def touch(self, slot: Slot) -> None:
        """Mark the slot as the most recently used."""
        self._clock += 1
        slot.used = self._clock

    def truncate(self, slot: Slot, keep: int) -> None:
        """Remove all but the first `keep` tokens; all of them if the engine cannot do that."""
        keep = whole_length(slot.held, keep)
        if keep < len(slot.held) and not api.llama_memory_seq_rm(
            self._memory, slot.number, slot.position_of(keep), -1
        ):
            api.llama_memory_seq_rm(self._memory, slot.number, -1, -1)
            keep = 0
        slot.forget(keep)

    def evict(self) -> bool:
        """Clear the least recently used idle slot; return whether there was one."""
        idle = [slot for slot in self._slots if slot.held and not slot.busy]
        if not idle:
            return False
        self.truncate(min(idle, key=lambda slot: slot.used), 0)
        return True

    def recover(self, slot: Slot) -> None:
        """Synchronise `held` with the KV cache after a failed decode step."""
        end = int(api.llama_memory_seq_pos_max(self._memory, slot.number)) + 1
        if end > slot.position and self._can_rewind:  # a part that did not become whole
            api.llama_memory_seq_rm(self._memory, slot.number, slot.position, -1)
        elif end != slot.position:
            self.truncate(slot, end if self._can_rewind and not slot.lag else 0)

    def save_state(
        self, tokens: list[int], adapters: Adapters = NO_ADAPTERS
    ) -> tuple[list[int], bytes]:
        """Return the tokens and the state of the slot with the longest prefix of `tokens`.

        The state is a copy, in the format that llama_state_seq_get_data writes.
        """

        def common(slot: Slot) -> int:
            return common_prefix_length(slot.held, tokens) if slot.adapters == adapters else -1

        return self.state_of(max(self._slots, key=common))

    def state_of(self, slot: Slot) -> tuple[list[int], bytes]:
        """Return tokens and state of a slot."""
        room = api.llama_state_seq_get_size(self._context, slot.number)
        buffer = (ctypes.c_uint8 * room)()
        size = api.llama_state_seq_get_data(self._context, buffer, room, slot.number)
        return list(slot.held), bytes(memoryview(buffer)[:size])

    def load_state(
        self,
        state: bytes | bytearray | memoryview,
        tokens: list[int],
        *,
        wanted: int = -1,
        adapters: Adapters = NO_ADAPTERS,
    ) -> None:
        """Load a state from `save_state`, of exactly `tokens`, into a free slot, or the `wanted`.

        A writable buffer is passed to the engine without a copy; it is not needed afterwards. Raise
        ModelError if all slots are busy, or the state does not fit this model and context.
        """
        free = [slot for slot in self._slots if not slot.busy and wanted in (-1, slot.number)]
        if not free:
            raise ModelError("all sequences are busy", hint="try again when an answer has ended")
        slot = min(free, key=lambda slot: (bool(slot.held), slot.used))
        self.truncate(slot, 0)
        slot.adapters = adapters
        # ctypes can use a writable buffer without copying it; states are large.
        view, kind = memoryview(state), ctypes.c_uint8 * len(state)
        buffer = kind.from_buffer_copy(view) if view.readonly else kind.from_buffer(view)
        while True:
            with log.captured() as call:
                size = api.llama_state_seq_set_data(self._context, buffer, len(state), slot.number)
            end = int(api.llama_memory_seq_pos_max(self._memory, slot.number)) + 1
            if size == len(state) and end == len(tokens) - lag_of(tokens):
                break
            api.llama_memory_seq_rm(self._memory, slot.number, -1, -1)
            if size or not self.evict():
                why = f": {call.reason}" if call.reason else ""
                raise ModelError(f"its state does not fit this model and context{why}")
        slot.held, slot.lag = list(tokens), lag_of(tokens)
        self.touch(slot)

    def _reusable_length(self, slot: Slot, tokens: list[int], adapters: Adapters) -> int:
        """Return the length of the prefix of `tokens` that can be reused from a slot."""
        if slot.adapters != adapters:
            return 0
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
