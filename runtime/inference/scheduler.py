"""Scheduler: continuous batching of many answers over one context, with shared prefixes.

Only the decoding thread uses the context. Each of its steps decodes the next token of every running
answer, plus as much of the waiting prompts as fits into the batch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from runtime.errors import AppError, Busy, ContextOverflow, ModelError
from runtime.host import resources
from runtime.inference.answer_form import AnswerForm
from runtime.inference.context import ABORTED, NO_ROOM, Context
from runtime.inference.generation import Generation
from runtime.inference.stats import FinishReason, SlotStatus, Status
from runtime.inference.token_stream import TokenStream
from runtime.model.model import Model
from runtime.options.registry import Options

PROMPT_CHUNK = 64
"""Tokens of each prompt decoded per step while answers run; limits the delay of their next
token."""
ADMISSION_RESERVE = 64
"""Free tokens that an answer needs to be admitted, unless its own limit is lower."""
POLL_SECONDS = 0.1
"""Timeout of one wait for the decoding thread."""
Result = TypeVar("Result")
GATHER_SECONDS = 0.001
"""How long an idle scheduler waits for further requests before it starts a batch."""


class Scheduler:
    """A context over a model, with its decoding thread."""

    def __init__(self, model: Model, options: Options, context_size: int) -> None:
        """Create the context and start the thread.

        Raise MemoryShortage if there is no memory for it, ModelError if the engine fails.
        """
        self.model = model
        self.options = options
        self.threads = options.threads or resources.physical_cores()
        self._context = Context(model, options, context_size, self.threads)
        self.context_size, self.generates = self._context.size, self._context.generates
        self._slots, self._batch = self._context.slots, self._context.batch
        self._active: list[Generation] = []
        """Answers with a slot, in order of arrival."""
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
        form: AnswerForm | None = None,
        alternatives: int | None = None,
    ) -> TokenStream:
        """Return the answer to `prompt` (token IDs) as a stream; safe from any thread.

        It has the `form` given, or else the one of the options' grammar or JSON schema.
        With `alternatives` every token comes with its log-probability and those of as many
        likeliest ones. Raise ModelError when the prompt is empty, ContextOverflow when it does not
        fit, UsageError when an option is wrong, Busy when too many are waiting.
        """
        if not self.generates:
            raise ModelError(
                "this model gives no answers, it only turns texts into vectors",
                hint="serve it, and ask for embeddings",
            )
        if not prompt:
            raise ModelError("the prompt is empty", hint="ask something")
        self.require_room(prompt)
        generation = Generation(
            self.model, prompt, options or self.options, self.context_size, alternatives, form
        )
        try:
            with self._wake:
                if self._closing:
                    raise ModelError("the engine is closed")
                most = self.options.queue
                asked = sum(
                    not generation.sink.cancelled for generation in (*self._active, *self._waiting)
                )
                if asked >= self._slots.count + most:
                    raise Busy(f"{most} questions are waiting already", hint="try again later")
                self._waiting.append(generation)
                self._wake.notify()
        except AppError:
            generation.close()
            raise
        return TokenStream(generation.sink)

    def require_room(self, prompt: Sequence[int]) -> None:
        """Raise ContextOverflow unless `prompt` leaves the context room for a token more."""
        if len(prompt) >= self.context_size:
            raise ContextOverflow(len(prompt), self.context_size - 1)

    def status(self) -> Status:
        """Return what the sequences are doing now; safe from any thread."""
        with self._wake:
            busy = {
                generation.slot.number: generation for generation in self._active if generation.slot
            }
            waiting = len(self._waiting)
        slots = tuple(
            SlotStatus(
                slot.number,
                slot.number in busy,
                len(slot.held),
                busy[slot.number].sink.stats if slot.number in busy else None,
            )
            for slot in self._slots
        )
        return Status(slots, waiting, self.steps, self.busy_steps)

    def compute(self, tokens: Sequence[int]) -> None:
        """Decode `tokens` where they are not cached yet, and leave them in the KV cache."""
        for _ in self.submit(
            tokens, dataclasses.replace(self.options.without_constraints(), n_predict=0)
        ):
            pass

    def state_of(self, tokens: Sequence[int]) -> bytes:
        """Return the state of exactly `tokens`, decoding them if necessary.

        The bytes are a copy, as llama_state_seq_get_data writes them; `load_state` reads them.
        Raise ModelError if another answer replaced them in the meantime.
        """
        self.compute(tokens)
        held, state = self.snapshot(tokens)
        if held != list(tokens):
            raise ModelError("the state was replaced meanwhile", hint="let nothing else run")
        return state

    def snapshot(self, tokens: Sequence[int]) -> tuple[list[int], bytes]:
        """Return tokens and state of the slot with the longest prefix of `tokens`; no decoding."""
        return self._call(lambda: self._slots.save_state(list(tokens)))

    def load_state(self, state: bytes | bytearray | memoryview, tokens: Sequence[int]) -> None:
        """Load a state saved by another run into the KV cache, for `tokens`; safe from any thread.

        A writable buffer is used without a copy, and only during this call. Raise ModelError if the
        state does not fit this model and context.
        """
        self._call(lambda: self._slots.load_state(state, list(tokens)))

    def use_adapters(self, adapters: Sequence[tuple[Any, float]]) -> None:
        """Use these LoRA adapters (`llama_adapter_lora*`, scale) from the next answer on.

        Clears the KV cache. Raise ModelError if the engine fails.
        """
        self._call(lambda: self._context.use_adapters(adapters))

    def _call(self, action: Callable[[], Result]) -> Result:
        """Run `action` on the decoding thread, between two steps; return its result."""
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(action())
            except BaseException as exc:  # passed on to the caller
                future.set_exception(exc)

        with self._wake:
            if self._closing:
                raise ModelError("the engine is closed")
            self._calls.append(run)
            self._wake.notify()
        while True:
            with contextlib.suppress(FutureTimeout):
                return future.result(POLL_SECONDS)  # short waits let Ctrl-C through
            if not self._thread.is_alive() and not future.done():
                raise ModelError("the engine is closed")

    def close(self) -> None:
        """Cancel all answers, join the thread, free the context."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._context.abort.value = True
        while self._thread.is_alive():
            self._thread.join(0.1)  # short waits let Ctrl-C through
            self._context.abort.value = True
        self._context.close()

    def _run(self) -> None:
        """Run the main loop of the decoding thread."""
        while True:
            with self._wake:
                while not (self._waiting or self._active or self._calls or self._closing):
                    self._wake.wait()
                if not self._active:
                    self._gather()
                calls, self._calls = self._calls, deque()
            if self._closing:
                break
            for call in calls:
                call()
            # Reset before looking for cancelled answers, so that none is missed.
            self._context.abort.value = False
            try:
                self._end_cancelled()
                self._admit()
                if self._active:
                    self._step()
            except Exception as exc:  # readers would wait forever for a dead thread
                self._fail_all(exc)
        for generation in self._all_generations():
            self._end(generation, FinishReason.CANCELLED)

    def _gather(self) -> None:
        """Wait briefly for requests that arrive together, while there are slots for them.

        Prompts decoded in one step cost less than one after another beside running answers.
        """
        known = 0
        while known < len(self._waiting) < self._slots.count and not self._closing:
            known = len(self._waiting)
            self._wake.wait(GATHER_SECONDS)

    def _all_generations(self) -> list[Generation]:
        with self._wake:
            return [*self._active, *self._waiting]

    def _end_cancelled(self) -> None:
        for generation in self._all_generations():
            if generation.sink.cancelled:
                self._end(generation, FinishReason.CANCELLED)

    def _fail_all(self, exc: Exception) -> None:
        for generation in self._all_generations():
            if generation.slot:
                self._slots.truncate(generation.slot, 0)
            self._end(
                generation,
                FinishReason.ERROR,
                ModelError(f"the engine failed: {type(exc).__name__}: {exc}"),
            )

    def _admit(self) -> None:
        """Give slots to waiting answers, in order, while the context has room for them."""
        while self._waiting and not self._slots.full:
            generation = self._waiting[0]
            shared = self._slots.shared_prefix_length(generation.tokens) if generation.reuses else 0
            if self._active and self._room() < len(generation.tokens) - shared + min(
                generation.left, ADMISSION_RESERVE
            ):
                return
            slot = self._slots.acquire(generation.tokens, reuse=generation.reuses)
            if slot is None:
                return
            with self._wake:
                self._waiting.popleft()
            generation.start(slot, shared)
            self._active.append(generation)

    def _room(self) -> int:
        """Return the tokens of context not taken by running answers; shared prefixes count once."""
        return self.context_size - sum(
            len(generation.tokens) - generation.shared for generation in self._active
        )

    def _step(self) -> None:
        """Decode one batch: the next token of every running answer, then prompts in order."""
        self._batch.clear()
        running = [generation for generation in self._active if generation.running]
        room = self._batch.room - len(running)
        if running:
            room = min(room, PROMPT_CHUNK * (len(self._active) - len(running)))
        parts = [(generation, 1) for generation in running]
        for generation in self._active:
            if not generation.running and room:
                count = min(room, generation.pending)
                parts.append((generation, count))
                room -= count
        self._compute(parts)

    def _compute(self, parts: list[tuple[Generation, int]]) -> None:
        """Decode that many tokens of each generation, and sample where all are decoded."""
        self._batch.clear()
        places: list[tuple[Generation, list[int], int | None]] = []
        for generation, count in parts:
            assert generation.slot is not None
            begin = len(generation.slot.held)
            chunk = generation.tokens[begin : begin + count]
            last = count == generation.pending
            end = self._batch.add(generation.slot.number, chunk, begin, answer=last)
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
            self._handle_failed_step(parts, status)
            return
        self.steps += 1
        self.busy_steps += len(parts)
        for generation, chunk, index in places:
            assert generation.slot is not None
            generation.slot.held.extend(chunk)
            if index is not None:
                self._advance(generation, index)
            else:
                generation.report_progress()

    def _advance(self, generation: Generation, index: int) -> None:
        """Sample the next token of a generation whose tokens are all decoded."""
        try:
            reason = generation.advance(self._context.handle, index)
        except AppError as exc:
            assert generation.slot is not None
            self._slots.truncate(generation.slot, 0)  # the cached state may be what led to NaN
            self._end(generation, FinishReason.ERROR, exc)
            return
        if reason:
            self._end(generation, reason)

    def _handle_failed_step(self, parts: list[tuple[Generation, int]], status: int) -> None:
        """Recover from a failed step: make room, or split it to find the answer that fails."""
        for generation, _ in parts:
            assert generation.slot is not None
            self._slots.recover(generation.slot)
        if status == ABORTED:
            return
        if status == NO_ROOM:
            if self._slots.evict():
                return
            if len(self._active) > 1:
                self._postpone(self._active[-1])
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
        assert generation.slot is not None
        self._slots.truncate(generation.slot, 0)
        error = ModelError(
            f"the engine failed to compute (code {status}): {self._context.failure}",
            hint="try a smaller context with -c, or -v for the engine's log",
        )
        self._end(generation, FinishReason.ERROR, error)

    def _postpone(self, generation: Generation) -> None:
        """Return a generation to the head of the queue without its slot; it resumes later."""
        assert generation.slot is not None
        self._slots.truncate(generation.slot, 0)
        generation.slot.busy = False
        generation.slot = None
        self._active.remove(generation)
        with self._wake:
            self._waiting.appendleft(generation)

    def _end(
        self, generation: Generation, reason: FinishReason, error: AppError | None = None
    ) -> None:
        """Release a generation's slot, keeping its tokens cached, and tell the reader."""
        if generation.slot:
            self._slots.touch(generation.slot)
            generation.slot.busy = False
        with contextlib.suppress(ValueError):
            self._active.remove(generation)
        with self._wake, contextlib.suppress(ValueError):
            self._waiting.remove(generation)
        generation.end(reason, error)
