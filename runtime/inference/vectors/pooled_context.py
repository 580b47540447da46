"""Pooled context: a `llama_context` that computes one vector of each text."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Sequence
from typing import Any

from runtime.errors import ModelError
from runtime.model.llama_api import NO_REASON, api, log, native_call
from runtime.model.model import Model
from runtime.options.loading import AUTOMATIC
from runtime.options.registry import Options

CONTEXT = 2048
"""Tokens of a text, unless the model takes fewer or -c sets another size; a text is one batch."""


def room_for(model: Model, options: Options) -> int:
    """Return the largest number of tokens of a text."""
    trained = model.trained_context or CONTEXT
    wanted = CONTEXT if options.ctx_size == AUTOMATIC else options.ctx_size or trained
    return min(wanted, trained)


def pooled_settings(tokens: int, *, texts: int, pooling: int, threads: int) -> Any:
    """Return the settings of a context that reads so many tokens, of so many texts, in a step."""
    settings = api.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = tokens
    settings.n_seq_max = texts
    settings.embeddings = True
    settings.pooling_type = pooling
    settings.n_threads = settings.n_threads_batch = threads
    settings.no_perf = True
    return settings


class PooledContext:
    """A context that is created at the first text, owned by this object until `close`."""

    def __init__(self, model: Model, *, pooling: int, room: int, threads: int) -> None:
        """`pooling` is a llama_pooling_type, `room` the largest number of tokens of a text."""
        self._model = model
        self._pooling = pooling
        self.room = room
        self._threads = threads
        self._context: Any = None
        self._lock = threading.Lock()

    def compute(self, tokens: Sequence[int], size: int) -> list[float]:
        """Return the `size` numbers that the engine makes of a text. Safe from any thread.

        Raise ModelError if the text is empty or too long, or the engine fails.
        """
        if not tokens:
            raise ModelError("the text is empty", hint="there is nothing to turn into a vector")
        if len(tokens) > self.room:
            raise ModelError(
                f"the text has {len(tokens)} tokens, there is room for {self.room}",
                hint="cut it into smaller ones",
            )
        with self._lock:
            if self._context is None:
                self._context = self._open()
            found = self._compute(tokens, size)
        if not all(map(math.isfinite, found)):
            raise ModelError("the model computed something that is not a number")
        return found

    def close(self) -> None:
        """Free the context."""
        with self._lock:
            if self._context is not None:
                api.llama_free(self._context)
                self._context = None

    def _open(self) -> Any:
        settings = pooled_settings(self.room, texts=1, pooling=self._pooling, threads=self._threads)
        with native_call() as call:
            context = api.llama_init_from_model(self._model.handle, settings)
        if not context:
            raise ModelError(
                f"the engine cannot set up a context for vectors: {call.reason or NO_REASON}",
                hint="there may be too little memory",
            )
        return context

    def _compute(self, tokens: Sequence[int], size: int) -> list[float]:
        memory = api.llama_get_memory(self._context)
        if memory:
            api.llama_memory_clear(memory, True)
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        with log.captured() as call:
            status = api.llama_decode(self._context, api.llama_batch_get_one(array, len(tokens)))
            found = None if status else api.llama_get_embeddings_seq(self._context, 0)
        if not found:
            raise ModelError(
                f"the engine failed to compute a vector (code {status}): "
                f"{call.reason or NO_REASON}",
                hint="start it with -v for the engine's whole log",
            )
        return list(found[:size])
