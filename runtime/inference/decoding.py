"""Decoding: a step computes one batch for the answers that have a slot.

It is the next token of every running answer, plus as much of the prompts as fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.errors import AppError, ModelError, NotNumbers
from runtime.inference.answers import Answers
from runtime.inference.generation import Generation
from runtime.inference.kv_cache.context import ABORTED, NO_ROOM, Context
from runtime.inference.manner import NO_ADAPTERS
from runtime.inference.stats import FinishReason
from runtime.model.model import Model

PROMPT_CHUNK = 64
"""Tokens of each prompt decoded per step while answers run; limits the delay of their next
token."""


class Decoding:
    """The steps over one context; used by the decoding thread only, except for what they took."""

    def __init__(self, model: Model, context: Context, answers: Answers) -> None:
        self._model, self._context, self._answers = model, context, answers
        self._slots, self._batch = context.slots, context.batch
        self._turned = NO_ADAPTERS
        """Adapters of the last step."""
        self.on_device_failure: Callable[[AppError], object] | None = None
        """Called, on the decoding thread, where devices compute what the processor would not, or
        nothing; never returns. None where only the processor computes."""
        self.steps = self.busy_steps = 0

    def step(self) -> None:
        """Decode one batch: the next token of every running answer, then prompts in order.

        Answers with other adapters have their turn in other steps. A picture or sound is read by
        itself, at most one before each batch.
        """
        self._batch.clear()
        active = self._turn()
        if looking := next((one for one in active if one.chunk), None):
            self._look(looking)
            active = [one for one in active if one.slot and not one.chunk]
            if not active:
                return
        running = [generation for generation in active if generation.running]
        room = self._batch.room - len(running)
        if running:
            room = min(room, PROMPT_CHUNK * (len(active) - len(running)))
        parts = [(generation, 1) for generation in running]
        for generation in active:
            if not generation.running and room:
                count = min(room, generation.readable)
                parts.append((generation, count))
                room -= count
        self._compute(parts)

    def _turn(self) -> list[Generation]:
        """Return the answers of the next step, all with the same adapters; these are used then."""
        active = self._answers.active
        used = [*dict.fromkeys(generation.adapters for generation in active)]
        place = used.index(self._turned) + 1 if self._turned in used else 0
        self._turned = used[place % len(used)]
        self._context.use_adapters(self._turned)
        return [one for one in active if one.adapters == self._turned]

    def _look(self, generation: Generation) -> None:
        """Encode the picture or sound that comes next in a prompt, and decode what comes of it."""
        slot, chunk, projector = generation.slot, generation.chunk, self._model.projector
        assert slot is not None and chunk is not None and projector is not None
        try:
            status = projector.decode(
                chunk, self._context.handle, slot.number, slot.position, self._batch.room
            )
        except AppError as exc:
            self._slots.recover(slot)
            self._answers.end(generation, FinishReason.ERROR, exc)
            return
        if not status:
            self.steps += 1
            self.busy_steps += 1
            slot.extend(chunk.cells)
            generation.report_progress()
        elif not self._may_retry([generation], status):
            self._fail(generation, status)

    def _compute(self, parts: list[tuple[Generation, int]]) -> None:
        """Decode that many tokens of each generation, and sample where all are decoded."""
        self._batch.clear()
        places: list[tuple[Generation, list[int], int | None]] = []
        for generation, count in parts:
            assert generation.slot is not None
            begin = len(generation.slot.held)
            chunk = generation.tokens[begin : begin + count]
            last = count == generation.pending
            position = generation.slot.position
            end = self._batch.add(generation.slot.number, chunk, position, answer=last)
            places.append((generation, chunk, end if last else None))
        alone = parts[0][0].sink if len(parts) == 1 else None
        try:
            if alone:
                alone.abort_flag = self._context.abort
                if alone.cancelled:  # cancelled before the flag was set above
                    return
            status = self._context.decode()
        finally:
            if alone:
                alone.abort_flag = None  # from now on the flag would abort other answers
        if status:
            self._compute_again(parts, status)
            return
        self.steps += 1
        self.busy_steps += len(parts)
        for generation, chunk, index in places:
            assert generation.slot is not None
            generation.slot.extend(chunk)
            if index is not None:
                self._advance(generation, index)
            else:
                generation.report_progress()

    def _advance(self, generation: Generation, index: int) -> None:
        """Sample the next token of a generation whose tokens are all decoded."""
        try:
            reason = generation.advance(self._context.handle, index)
        except AppError as exc:
            if self.on_device_failure and isinstance(exc, NotNumbers):
                self.on_device_failure(exc)
            self._answers.fail(generation, exc)  # the cached state may be what led to NaN
            return
        if reason:
            self._answers.end(generation, reason)

    def _compute_again(self, parts: list[tuple[Generation, int]], status: int) -> None:
        """Split a failed step to find the answer that fails, unless the next step may do better."""
        if self._may_retry([generation for generation, _ in parts], status):
            return
        if len(parts) > 1:
            for generation, count in parts:
                if generation.slot:  # not postponed by the part before
                    self._compute([(generation, count)])
            return
        generation, count = parts[0]
        if count > 1:
            self._compute([(generation, count // 2)])
            return
        self._fail(generation, status)

    def _may_retry(self, generations: Sequence[Generation], status: int) -> bool:
        """Recover from a failed step; return whether the next may do better, with more room."""
        for generation in generations:
            assert generation.slot is not None
            self._slots.recover(generation.slot)
        if status == NO_ROOM:
            return self._slots.evict() or self._answers.postpone()
        return status == ABORTED

    def _fail(self, generation: Generation, status: int) -> None:
        """End an answer that the engine cannot compute."""
        error = ModelError(
            f"the engine failed to compute (code {status}): {self._context.failure}",
            hint="try a smaller context with -c, or -v for the engine's log",
        )
        if self.on_device_failure:
            self.on_device_failure(error)
        self._answers.fail(generation, error)
