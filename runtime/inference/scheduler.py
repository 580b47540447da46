"""Scheduler: continuous batching of many answers over one context, with shared prefixes.

Only the decoding thread uses the context: it admits answers, does a step for them, and between two
steps what others ask it for.
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

from runtime.errors import AppError, ContextOverflow, ModelError
from runtime.host import resources
from runtime.inference.answer_form import AnswerForm
from runtime.inference.answers import Answers
from runtime.inference.decoding import Decoding
from runtime.inference.generation import Generation
from runtime.inference.kv_cache.context import Context
from runtime.inference.kv_cache.slots import Slots
from runtime.inference.manner import NO_ADAPTERS, PLAIN, Adapters, Manner
from runtime.inference.stats import FinishReason, Status
from runtime.inference.token_stream import TokenStream
from runtime.model.model import Model
from runtime.options.registry import Options

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
        self._slots = self._context.slots
        self._adapters = NO_ADAPTERS
        """Of answers that are asked for without others."""
        self._wake = threading.Condition()
        self._answers = Answers(self._slots, self.context_size, self._wake)
        self.decoding = Decoding(model, self._context, self._answers)
        self._calls: deque[Callable[[], None]] = deque()
        self._closing = False
        self._lost: AppError | None = None
        """Why the engine never comes back; None as long as it does."""
        self._busy_since = 0.0
        """When the running step began, by the monotonic clock; 0 where none runs."""
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
                self._answers.add(generation, self.options.queue)
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
        slots, waiting = self._answers.status()
        return Status(slots, waiting, self.decoding.steps, self.decoding.busy_steps)

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
            asked = self._answers.all()
        for generation in asked:
            generation.sink.stats.reason = FinishReason.ERROR
            generation.sink.end(error)
        return bool(asked or self._calls)

    @property
    def busy_for(self) -> float:
        """Return how many seconds the running step takes by now, 0 where none runs.

        GPUs compute while others go on, so what waits for one that hangs may be any use of it.
        """
        since = self._busy_since
        return time.monotonic() - since if since else 0.0

    @property
    def lost(self) -> bool:
        """Return whether the engine will never return."""
        return self._lost is not None

    @property
    def over(self) -> bool:
        """Return whether nothing will be computed any more."""
        return self._closing or self.lost

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
        answers = self._answers
        while True:
            with self._wake:
                while not (answers.waiting or answers.active or self._calls or self._closing):
                    self._wake.wait()
                if not answers.active:
                    self._gather()
                calls, self._calls = self._calls, deque()
            if self._closing:
                break
            self._busy_since = time.monotonic()
            for call in calls:
                call()
            # Reset before looking for cancelled answers, so that none is missed.
            self._context.abort.value = False
            try:
                answers.end_cancelled()
                answers.admit()
                if answers.active:
                    self.decoding.step()
            except Exception as exc:  # readers would wait forever for a dead thread
                error = ModelError(f"the engine failed: {type(exc).__name__}: {exc}")
                for generation in answers.all():
                    answers.fail(generation, error)
            self._busy_since = 0.0
        for generation in answers.all():
            answers.end(generation, FinishReason.CANCELLED)

    def _gather(self) -> None:
        """Wait briefly for requests that arrive together, while there are slots for them.

        Prompts decoded in one step cost less than one after another beside running answers.
        """
        known = 0
        waiting = self._answers.waiting
        while known < len(waiting) < self._slots.count and not self._closing:
            known = len(waiting)
            self._wake.wait(GATHER_SECONDS)
