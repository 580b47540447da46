"""Scheduler: continuous batching of many answers over one context, with shared prefixes.

Only the decoding thread uses the context. Each of its steps decodes the next token of every running
answer, plus as much of the waiting prompts as fits into the batch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from runtime.errors import AppError, Busy, ContextOverflow, ModelError, NotNumbers
from runtime.host import resources
from runtime.inference.answer_form import AnswerForm
from runtime.inference.context import ABORTED, NO_ROOM, Context
from runtime.inference.generation import Generation
from runtime.inference.manner import NO_ADAPTERS, PLAIN, Adapters, Manner
from runtime.inference.slots import Slots
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
        self._adapters = NO_ADAPTERS
        """Of answers that are asked for without others."""
        self._turned = NO_ADAPTERS
        """Those of the last step."""
        self._active: list[Generation] = []
        """Answers with a slot, in order of arrival."""
        self._waiting: deque[Generation] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._closing = False
        self._lost: AppError | None = None
        """Why the engine never comes back; None as long as it does."""
        self.on_device_failure: Callable[[AppError], object] | None = None
        """Called, on the decoding thread, where devices compute what the processor would not, or
        nothing; never returns. None where only the processor computes."""
        self._computes_since = 0.0
        """When the running decode began, by the monotonic clock; 0 where none runs."""
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
        manner: Manner = PLAIN,
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
        if prompt[-1] < 0:
            raise ModelError(
                "nothing follows the last picture or sound", hint="put the question behind it"
            )
        if manner.adapters is None:
            manner = dataclasses.replace(manner, adapters=self._adapters)
        options = options or self.options
        generation = Generation(
            self.model, prompt, options, self.context_size, alternatives, form, manner
        )
        try:
            with self._wake:
                self._require_open()
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
        return self.between_steps(lambda slots: slots.save_state(list(tokens), self._adapters))

    def load_state(self, state: bytes | bytearray | memoryview, tokens: Sequence[int]) -> None:
        """Load a state saved by another run into the KV cache, for `tokens`; safe from any thread.

        A writable buffer is used without a copy, and only during this call. Raise ModelError if the
        state does not fit this model and context.
        """
        self.between_steps(
            lambda slots: slots.load_state(state, list(tokens), adapters=self._adapters)
        )

    def use_adapters(self, adapters: Adapters) -> None:
        """Use these LoRA adapters for answers that are asked for from now on.

        Raise ModelError if the engine refuses them.
        """
        self.between_steps(lambda _: self._context.use_adapters(adapters))
        self._adapters = adapters

    def between_steps(self, action: Callable[[Slots], Result]) -> Result:
        """Run `action` on the decoding thread, between two steps; return its result.

        Safe from any other thread. Raise ModelError if the engine is closed.
        """
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(action(self._slots))
            except BaseException as exc:  # passed on to the caller
                future.set_exception(exc)

        with self._wake:
            self._require_open()
            self._calls.append(run)
            self._wake.notify()
        while True:
            with contextlib.suppress(FutureTimeout):
                return future.result(POLL_SECONDS)  # short waits let Ctrl-C through
            if self._lost:
                raise self._lost
            if not self._thread.is_alive() and not future.done():
                raise ModelError("the engine is closed")

    def lose(self, error: AppError) -> bool:
        """End all answers with `error`: the engine will never return; return if there were any.

        Safe from any thread, also one of the engine's. Nothing of the engine may be used any more.
        """
        with self._wake:
            self._lost = error
            waiting = [*self._active, *self._waiting]
        for generation in waiting:
            generation.sink.stats.reason = FinishReason.ERROR
            generation.sink.end(error)
        return bool(waiting or self._calls)

    @property
    def lost(self) -> bool:
        """Return whether the engine will never return."""
        return self._lost is not None

    @property
    def over(self) -> bool:
        """Return whether nothing will be computed any more."""
        return self._closing or self.lost

    @property
    def computing_for(self) -> float:
        """Return how many seconds the running decode takes by now, 0 where none runs."""
        since = self._computes_since
        return time.monotonic() - since if since else 0.0

    def _require_open(self) -> None:
        if self._lost:
            raise self._lost
        if self._closing:
            raise ModelError("the engine is closed")

    def close(self) -> None:
        """Cancel all answers, join the thread, free the context; nothing of it if it is lost."""
        if self._lost:
            return
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._context.abort.value = True
        while self._thread.is_alive():
            self._thread.join(0.1)  # short waits let Ctrl-C through
            self._context.abort.value = True
        self._context.close()
        for slot in self._slots:
            slot.held.clear()

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
        with self._wake:
            waiting = [*self._waiting]
        for generation in waiting:
            if self._slots.full:
                return
            tokens, adapters = generation.tokens, generation.adapters
            shared = self._slots.shared_prefix_length(tokens, adapters) if generation.reuses else 0
            if self._active and self._room() < len(tokens) - shared + min(
                generation.left, ADMISSION_RESERVE
            ):
                return
            slot = self._slots.acquire(
                tokens, reuse=generation.reuses, wanted=generation.wanted_slot, adapters=adapters
            )
            if slot is None:  # the one it wants is busy; others may have those that are free
                continue
            with self._wake:
                self._waiting.remove(generation)
            generation.start(slot, shared)
            self._active.append(generation)

    def _room(self) -> int:
        """Return the tokens of context not taken by running answers; shared prefixes count once."""
        return self.context_size - sum(
            len(generation.tokens) - generation.shared for generation in self._active
        )

    def _step(self) -> None:
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

    def _look(self, generation: Generation) -> None:
        """Encode the picture or sound that comes next in a prompt, and decode what comes of it."""
        slot, chunk, projector = generation.slot, generation.chunk, self.model.projector
        assert slot is not None and chunk is not None and projector is not None
        self._computes_since = time.monotonic()
        try:
            status = projector.decode(
                chunk, self._context.handle, slot.number, slot.position, self._batch.room
            )
        except AppError as exc:
            self._slots.recover(slot)
            self._end(generation, FinishReason.ERROR, exc)
            return
        finally:
            self._computes_since = 0.0
        if not status:
            self.steps += 1
            self.busy_steps += 1
            slot.extend(chunk.cells)
            generation.report_progress()
            return
        self._slots.recover(slot)
        if status == NO_ROOM and self._slots.evict():
            return
        if status == NO_ROOM and len(self._active) > 1:
            self._postpone(self._active[-1])
        elif status != ABORTED:
            self._fail(generation, status)

    def _turn(self) -> list[Generation]:
        """Return the answers of the next step, all with the same adapters; these are used then."""
        used = [*dict.fromkeys(generation.adapters for generation in self._active)]
        place = used.index(self._turned) + 1 if self._turned in used else 0
        self._turned = used[place % len(used)]
        self._context.use_adapters(self._turned)
        return [one for one in self._active if one.adapters == self._turned]

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
            self._computes_since = time.monotonic()
            status = self._context.decode()
        finally:
            self._computes_since = 0.0
            if alone:
                alone.abort_flag = None  # from now on the flag would abort other answers
        if status:
            self._handle_failed_step(parts, status)
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
        self._fail(generation, status)

    def _fail(self, generation: Generation, status: int) -> None:
        """End an answer that the engine cannot compute."""
        assert generation.slot is not None
        self._slots.truncate(generation.slot, 0)
        error = ModelError(
            f"the engine failed to compute (code {status}): {self._context.failure}",
            hint="try a smaller context with -c, or -v for the engine's log",
        )
        if self.on_device_failure:
            self.on_device_failure(error)
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
