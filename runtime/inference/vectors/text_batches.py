"""Text batches: many texts in one step of the engine, and what it makes of each.

An embedding model gives a vector of each text, a reranking model a score. Both are faster for
several texts at once: weights are read once for all of them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from runtime.errors import MemoryShortage, ModelError
from runtime.host.interrupts import interrupts_deferred
from runtime.inference.kv_cache.batch import Batch
from runtime.inference.kv_cache.context import NO_MEMORY
from runtime.inference.vectors.pooled_context import pooled_settings
from runtime.model.llama_api import NO_REASON, api, log, native_call
from runtime.model.model import Model

STEP = 512
"""Tokens of a step, unless one text alone has more: more at once was measured to be slower."""
SEQUENCES = 16
"""Texts of a step."""
STEP_BYTES, KEPT_BYTES = 256 << 20, 64 << 20
"""What a step may take for logits, and what of it is kept for the next texts: the engine makes room
for those of all tokens, though no model that makes vectors has any."""
LONGEST = 2048
"""Tokens that are read of a text, if the model takes as many: buffers grow with their number."""

Tokens = Sequence[int]


class TextBatches:
    """A context that makes `width` numbers of each text; owned by this object until `close`."""

    def __init__(self, model: Model, *, pooling: int, width: int, threads: int) -> None:
        """Create the context; `pooling` is a llama_pooling_type.

        Raise MemoryShortage if the engine finds no memory for it, ModelError if it cannot at all.
        """
        self._model = model
        self._pooling = pooling
        self._width = width
        self._threads = threads
        self.room = min(model.trained_context or STEP, LONGEST)
        """Largest number of tokens of a text."""
        self._token_bytes = 4 * max(model.vocab_size, 1)
        self._step_tokens = min(STEP, max(STEP_BYTES // self._token_bytes, 1))
        self._lock = threading.Lock()
        self._context: Any = None
        self._batch: Batch | None = None
        self._most = 0
        """Tokens of the largest step of the context."""
        self._open(STEP)  # also if texts are shorter: there are several in it

    def compute(self, texts: Sequence[Tokens]) -> list[list[float]]:
        """Return what the engine makes of each text, by its tokens. Safe from any thread.

        Raise ModelError if one is empty or too long, or the engine fails.
        """
        for tokens in texts:
            if not tokens:
                raise ModelError("the text is empty", hint="there is nothing to be computed of it")
            if len(tokens) > self.room:
                raise ModelError(
                    f"the text has {len(tokens)} tokens, there is room for {self.room}",
                    hint="cut it into smaller ones",
                )
        with self._lock:
            found = [found for group in self._groups(texts) for found in self._step(group)]
            if self._most * self._token_bytes > KEPT_BYTES:
                self._free()
            return found

    def close(self) -> None:
        """Free the context."""
        with self._lock:
            self._free()

    def _free(self) -> None:
        if self._batch is not None:
            self._batch.close()
            self._batch = None
        if self._context is not None:
            with interrupts_deferred():
                api.llama_free(self._context)
            self._context = None

    def _open(self, size: int) -> Batch:
        """Make a context for steps of `size` tokens in place of the one there was."""
        self._free()
        settings = pooled_settings(
            size, texts=SEQUENCES, pooling=self._pooling, threads=self._threads
        )
        settings.kv_unified = True  # texts share the room, whatever the length of each
        with native_call() as call:
            context = api.llama_init_from_model(self._model.handle, settings)
        if not context:
            problem = (
                f"the engine cannot set up a context for {self._model.label}: "
                f"{call.reason or NO_REASON}"
            )
            if NO_MEMORY.search(call.reason):
                raise MemoryShortage(problem, hint="close other programs")
            raise ModelError(problem, hint="start it with -v for the engine's whole log")
        self._context = context
        self._batch = Batch(size)
        self._most = 0
        return self._batch

    def _step(self, texts: Sequence[Tokens]) -> Iterator[list[float]]:
        count = sum(map(len, texts))
        batch = self._batch
        if batch is None or count > batch.room:
            batch = self._open(self.room if count > STEP else STEP)
        self._most = max(self._most, count)
        if memory := api.llama_get_memory(self._context):
            api.llama_memory_clear(memory, False)
        batch.clear()
        for number, tokens in enumerate(texts):
            batch.add(number, tokens, 0, answer=True, pooled=True)
        with log.captured() as call:
            status = batch.decode(self._context)
        for number in range(len(texts)):
            found = None if status else api.llama_get_embeddings_seq(self._context, number)
            if not found:
                raise ModelError(
                    f"the engine failed to read a text (code {status}): {call.reason or NO_REASON}",
                    hint="start it with -v for the engine's whole log",
                )
            numbers = found[: self._width]
            if not all(map(math.isfinite, numbers)):
                raise ModelError(
                    f"{self._model.label} computed something that is not a number",
                    hint="the file may be damaged, or its type too coarse: convert it again",
                )
            yield numbers

    def _groups(self, texts: Sequence[Tokens]) -> Iterator[Sequence[Tokens]]:
        """Yield the texts in order, as many at a time as a step takes, and at least one."""
        begin = count = 0
        for end, tokens in enumerate(texts):
            full = count + len(tokens) > self._step_tokens or end - begin == SEQUENCES
            if full and end > begin:
                yield texts[begin:end]
                begin, count = end, 0
            count += len(tokens)
        if begin < len(texts):
            yield texts[begin:]
