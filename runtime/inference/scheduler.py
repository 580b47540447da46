"""Generate tokens: one context, many answers at once, and never the same prefix twice.

One thread alone uses the context. Each of its steps computes the next token of every running
answer, and as much of the waiting prompts as fits beside them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from runtime.errors import AppError, Busy, ModelError
from runtime.host import resources
from runtime.inference.context import ABORTED, NO_ROOM, Context
from runtime.inference.generation import Generation
from runtime.inference.stats import SlotStatus, Status
from runtime.inference.token_stream import TokenStream
from runtime.model.llama_api import log
from runtime.model.model import Model
from runtime.options.registry import Options

CHUNK = 64
"""Tokens of each prompt computed in one step while answers run, which wait for them."""
RESERVE = 64
"""Tokens of room that an answer must have at its start, or as many as it may have."""
GATHER = 0.001
"""Seconds that an idle engine waits for the next question before it begins with those it has."""


class Scheduler:
    """A context over a model, with the thread that decodes."""

    def __init__(self, model: Model, options: Options, context_size: int) -> None:
        """Create the context; raise ModelError when the engine cannot."""
        self.model = model
        self.options = options
        self.threads = options.threads or resources.physical_cores()
        self._context = Context(model, options, context_size, self.threads)
        self.context_size, self.generates = self._context.size, self._context.generates
        self._slots, self._batch = self._context.slots, self._context.batch
        self._jobs: list[Generation] = []
        """Those with a slot, in the order of their arrival."""
        self._waiting: deque[Generation] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._closing = False
        self.steps = self.busy_steps = 0
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="decode", daemon=True)
        self._thread.start()

    def submit(
        self,
        prompt: Sequence[int],
        options: Options | None = None,
        *,
        alternatives: int | None = None,
    ) -> TokenStream:
        """Return the answer to `prompt`, as it comes; safe from any thread.

        With `alternatives` every token comes with its log-probability and those of as many
        likeliest ones. Raise ModelError when the prompt is empty or does not fit into the
        context, UsageError when an option is wrong, Busy when too many are waiting.
        """
        if not self.generates:
            raise ModelError(
                "this model gives no answers, it only turns texts into vectors",
                hint="serve it, and ask for embeddings",
            )
        if not prompt:
            raise ModelError("the prompt is empty", hint="ask something")
        if len(prompt) >= self.context_size:
            raise ModelError(
                f"the prompt has {len(prompt)} tokens, the context has room for "
                f"{self.context_size - 1}",
                hint="shorten it, or give more context with -c",
            )
        job = Generation(
            self.model, prompt, options or self.options, self.context_size, alternatives
        )
        try:
            with self._wake:
                if self._closing:
                    raise ModelError("the engine is closed")
                most = self.options.queue
                asked = sum(not job.feed.cancelled for job in (*self._jobs, *self._waiting))
                if asked >= self._slots.count + most:
                    raise Busy(f"{most} questions are waiting already", hint="try again later")
                self._waiting.append(job)
                self._wake.notify()
        except AppError:
            job.close()
            raise
        return TokenStream(job.feed)

    def status(self) -> Status:
        """Return what the sequences do at this moment; safe from any thread."""
        with self._wake:
            busy = {job.slot.number: job for job in self._jobs if job.slot}
            waiting = len(self._waiting)
        slots = tuple(
            SlotStatus(
                slot.number,
                slot.number in busy,
                len(slot.held),
                busy[slot.number].feed.stats if slot.number in busy else None,
            )
            for slot in self._slots
        )
        return Status(slots, waiting, self.steps, self.busy_steps)

    def compute(self, tokens: Sequence[int]) -> None:
        """Compute the state of `tokens` where it is not there yet, and keep it."""
        for _ in self.submit(
            tokens, dataclasses.replace(self.options.without_constraints(), n_predict=0)
        ):
            pass

    def state_of(self, tokens: Sequence[int]) -> bytes:
        """Return the state of exactly `tokens`, computed where it is not there, for `adopt`."""
        self.compute(tokens)
        held, state = self.snapshot(tokens)
        if held != list(tokens):
            raise ModelError("the state was replaced meanwhile", hint="let nothing else run")
        return state

    def snapshot(self, tokens: Sequence[int]) -> tuple[list[int], bytes]:
        """Return what is held that begins most like `tokens`, and its state; computes nothing."""
        found: tuple[list[int], bytes] = self._call(lambda: self._slots.save(list(tokens)))
        return found

    def adopt(self, state: bytes | bytearray | memoryview, tokens: Sequence[int]) -> None:
        """Take over the state of `tokens` from another run; raise ModelError if it does not fit."""
        self._call(lambda: self._slots.adopt(state, list(tokens)))

    def use_adapters(self, adapters: Sequence[tuple[Any, float]]) -> None:
        """Use these LoRA adapters of the model, each at its strength, from the next answer on.

        What was computed with others is forgotten. Raise ModelError when the engine refuses.
        """
        self._call(lambda: self._context.use_adapters(adapters))

    def _call(self, action: Callable[[], Any]) -> Any:
        """Run `action` on the engine's thread between two steps; return what it returns."""
        done: list[tuple[Any, BaseException | None]] = []
        finished = threading.Event()

        def run() -> None:
            try:
                done.append((action(), None))
            except BaseException as exc:  # handed over to who asked
                done.append((None, exc))
            finished.set()

        with self._wake:
            if self._closing:
                raise ModelError("the engine is closed")
            self._calls.append(run)
            self._wake.notify()
        while not finished.wait(0.1):
            if not self._thread.is_alive():
                raise ModelError("the engine is closed")
        result, error = done[0]
        if error:
            raise error
        return result

    def close(self) -> None:
        """End all answers as cancelled, join the thread, free the context."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._context.abort.value = True
        while self._thread.is_alive():
            self._thread.join(0.1)  # in short waits, so that Ctrl-C is heard
            self._context.abort.value = True
        self._context.close()

    def _run(self) -> None:
        """Do what there is to do, and sleep while there is nothing."""
        while True:
            with self._wake:
                while not (self._waiting or self._jobs or self._calls or self._closing):
                    self._wake.wait()
                if not self._jobs:
                    self._gather()
                calls, self._calls = self._calls, deque()
            if self._closing:
                break
            for call in calls:
                call()
            self._context.abort.value = (
                False  # before looking who has cancelled: none is overlooked
            )
            self._end_cancelled()
            self._admit()
            if self._jobs:
                try:
                    self._step()
                except Exception as exc:  # nobody may wait for ever for a thread that has died
                    self._fail_all(exc)
        for job in self._known():
            self._end(job, "cancelled")

    def _gather(self) -> None:
        """Let others who ask at the same moment come in, while there are slots for them.

        Prompts that are read in one step cost less than one after the other beside answers.
        """
        known = 0
        while known < len(self._waiting) < self._slots.count and not self._closing:
            known = len(self._waiting)
            self._wake.wait(GATHER)

    def _known(self) -> list[Generation]:
        with self._wake:
            return [*self._jobs, *self._waiting]

    def _end_cancelled(self) -> None:
        for job in self._known():
            if job.feed.cancelled:
                self._end(job, "cancelled")

    def _fail_all(self, exc: Exception) -> None:
        for job in list(self._jobs):
            if job.slot:
                self._slots.cut(job.slot, 0)
            self._end(job, "error", ModelError(f"the engine failed: {type(exc).__name__}: {exc}"))

    def _admit(self) -> None:
        """Give slots to those who wait, in order, while there is room for their answers."""
        while self._waiting and not self._slots.full:
            job = self._waiting[0]
            shared = self._slots.shared(job.tokens) if job.reuses else 0
            if self._jobs and self._room() < len(job.tokens) - shared + min(job.left, RESERVE):
                return
            slot = self._slots.take(job.tokens, reuse=job.reuses)
            if slot is None:
                return
            with self._wake:
                self._waiting.popleft()
            job.start(slot, shared)
            self._jobs.append(job)

    def _room(self) -> int:
        """Return how many tokens the running answers leave; prefixes they share count once."""
        return self.context_size - sum(len(job.tokens) - job.shared for job in self._jobs)

    def _step(self) -> None:
        """Compute one batch: every running answer's next token, then prompts in order."""
        self._batch.clear()
        running = [job for job in self._jobs if job.running]
        room = self._batch.room - len(running)
        if running:
            room = min(room, CHUNK * (len(self._jobs) - len(running)))
        parts = [(job, 1) for job in running]
        for job in self._jobs:
            if not job.running and room:
                count = min(room, job.pending)
                parts.append((job, count))
                room -= count
        self._compute(parts)

    def _compute(self, parts: list[tuple[Generation, int]]) -> None:
        """Decode the next so many tokens of each job, and choose what follows."""
        self._batch.clear()
        places: list[tuple[Generation, list[int], int | None]] = []
        for job, count in parts:
            assert job.slot is not None
            begin = len(job.slot.held)
            chunk = job.tokens[begin : begin + count]
            last = count == job.pending
            end = self._batch.add(job.slot.number, chunk, begin, answer=last)
            places.append((job, chunk, end if last else None))
        alone = parts[0][0].feed if len(parts) == 1 else None
        try:
            if alone:
                alone.alone = self._context.abort
                if alone.cancelled:  # meanwhile: the byte was not there yet
                    return
            status = self._context.decode()
        finally:
            if alone:
                alone.alone = None  # it stops others from now on
        if status:
            self._failed(parts, status)
            return
        self.steps += 1
        self.busy_steps += len(parts)
        for job, chunk, index in places:
            assert job.slot is not None
            job.slot.held.extend(chunk)
            if index is not None:
                self._advance(job, index)
            else:
                job.read()

    def _advance(self, job: Generation, index: int) -> None:
        """Choose the next token of a job whose tokens are all computed."""
        try:
            reason = job.advance(self._context.handle, index)
        except AppError as exc:
            assert job.slot is not None
            self._slots.cut(job.slot, 0)  # what led to numbers that are none is no use
            self._end(job, "error", exc)
            return
        if reason:
            self._end(job, reason)

    def _failed(self, parts: list[tuple[Generation, int]], status: int) -> None:
        """Deal with a step that failed: make room, or find out whose fault it is."""
        for job, _ in parts:
            assert job.slot is not None
            self._slots.recover(job.slot)
        if status == ABORTED:
            return
        if status == NO_ROOM:
            if self._slots.evict():
                return
            if len(self._jobs) > 1:
                self._postpone(self._jobs[-1])
                return
        if len(parts) > 1:
            for part in parts:
                self._compute([part])
            return
        job, count = parts[0]
        if count > 1:
            self._compute([(job, count // 2)])
            return
        assert job.slot is not None
        self._slots.cut(job.slot, 0)
        error = ModelError(
            f"the engine failed to compute (code {status}): "
            f"{log.last_error() or 'no reason given'}",
            hint="try a smaller context with -c, or -v for the engine's log",
        )
        self._end(job, "error", error)

    def _postpone(self, job: Generation) -> None:
        """Take a job's slot away until there is room; it goes on where it was."""
        assert job.slot is not None
        self._slots.cut(job.slot, 0)
        job.slot.busy = False
        job.slot = None
        self._jobs.remove(job)
        with self._wake:
            self._waiting.appendleft(job)

    def _end(self, job: Generation, reason: str, error: AppError | None = None) -> None:
        """Give a job's slot back, with what it holds, and tell the reader."""
        if job.slot:
            self._slots.touch(job.slot)
            job.slot.busy = False
        with contextlib.suppress(ValueError):
            self._jobs.remove(job)
        with self._wake, contextlib.suppress(ValueError):
            self._waiting.remove(job)
        job.end(reason, error)
