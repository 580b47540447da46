"""Answers that are asked for: those that have a slot, and those that wait for one."""

from __future__ import annotations

import contextlib
import threading
from collections import deque

from runtime.errors import AppError, Busy
from runtime.inference.generation import Generation
from runtime.inference.kv_cache.slots import Slots
from runtime.inference.stats import FinishReason, SlotStatus

ADMISSION_RESERVE = 64
"""Free tokens that an answer needs to be admitted, unless its own limit is lower."""


class Answers:
    """All answers of a scheduler; any thread adds one, the decoding thread does all else."""

    def __init__(self, slots: Slots, context_size: int, lock: threading.Condition) -> None:
        """Begin with none; the `lock` is held while one comes, or moves between the two."""
        self._slots, self._context_size, self._lock = slots, context_size, lock
        self.active: list[Generation] = []
        """Those with a slot, in order of arrival."""
        self.waiting: deque[Generation] = deque()

    def add(self, generation: Generation, most: int) -> None:
        """Let an answer wait; raise Busy where more than `most` would. The lock must be held."""
        asked = sum(not one.sink.cancelled for one in (*self.active, *self.waiting))
        if asked >= self._slots.count + most:
            raise Busy(f"{most} questions are waiting already", hint="try again later")
        self.waiting.append(generation)

    def all(self) -> list[Generation]:
        """Return those with a slot, then those that wait; safe from any thread."""
        with self._lock:
            return [*self.active, *self.waiting]

    def status(self) -> tuple[tuple[SlotStatus, ...], int]:
        """Return what the slots are doing, and how many answers wait; safe from any thread."""
        with self._lock:
            busy = {one.slot.number: one for one in self.active if one.slot}
            waiting = len(self.waiting)
        slots = tuple(
            SlotStatus(
                slot.number,
                slot.number in busy,
                len(slot.held),
                busy[slot.number].sink.stats if slot.number in busy else None,
            )
            for slot in self._slots
        )
        return slots, waiting

    def admit(self) -> None:
        """Give slots to waiting answers, in order, while the context has room for them."""
        with self._lock:
            waiting = [*self.waiting]
        for generation in waiting:
            if self._slots.full:
                return
            tokens, adapters = generation.tokens, generation.adapters
            shared = self._slots.shared_prefix_length(tokens, adapters) if generation.reuses else 0
            if self.active and self._room() < len(tokens) - shared + min(
                generation.left, ADMISSION_RESERVE
            ):
                return
            slot = self._slots.acquire(
                tokens, reuse=generation.reuses, wanted=generation.wanted_slot, adapters=adapters
            )
            if slot is None:  # the one it wants is busy; others may have those that are free
                continue
            with self._lock:
                self.waiting.remove(generation)
            generation.start(slot, shared)
            self.active.append(generation)

    def _room(self) -> int:
        """Return the tokens of context not taken by running answers; shared prefixes count once."""
        return self._context_size - sum(
            len(generation.tokens) - generation.shared for generation in self.active
        )

    def postpone(self) -> bool:
        """Let the last answer with a slot wait again, first; return whether others have one still.

        If it is the only one it keeps its slot.
        """
        if len(self.active) < 2:
            return False
        generation = self.active[-1]
        assert generation.slot is not None
        self._slots.truncate(generation.slot, 0)
        generation.slot.busy = False
        generation.slot = None
        self.active.remove(generation)
        with self._lock:
            self.waiting.appendleft(generation)
        return True

    def end(
        self, generation: Generation, reason: FinishReason, error: AppError | None = None
    ) -> None:
        """Release a generation's slot, keeping its tokens cached, and tell the reader."""
        if generation.slot:
            self._slots.touch(generation.slot)
            generation.slot.busy = False
        with contextlib.suppress(ValueError):
            self.active.remove(generation)
        with self._lock, contextlib.suppress(ValueError):
            self.waiting.remove(generation)
        generation.end(reason, error)

    def end_cancelled(self) -> None:
        """End those that nobody reads any more."""
        for generation in self.all():
            if generation.sink.cancelled:
                self.end(generation, FinishReason.CANCELLED)

    def fail(self, generation: Generation, error: AppError) -> None:
        """End an answer that cannot be computed, and forget its tokens, which may be why."""
        if generation.slot:
            self._slots.truncate(generation.slot, 0)
        self.end(generation, FinishReason.ERROR, error)
