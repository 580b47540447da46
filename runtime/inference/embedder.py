"""Embeddings: one vector per text, computed in a context of their own."""

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

POOLING_TYPES = {"auto": -1, "mean": 1, "cls": 2, "last": 3}
"""Values of llama_pooling_type by option; -1 is the model's default."""
POOLING_RANK = 4
"""LLAMA_POOLING_TYPE_RANK: reranking models, which compute no embeddings."""
CONTEXT = 2048
"""Tokens of a text, unless the model takes fewer or -c sets another size; a text is one batch."""


class Embedder:
    """Computes embeddings; its context is created at the first call."""

    def __init__(self, model: Model, options: Options, *, declared: int, threads: int) -> None:
        """Take the pooling type in the model's metadata as `declared`, 0 for none."""
        self._model = model
        self._pooling = POOLING_TYPES[options.pooling]
        self.possible = options.pooling != "auto" or declared not in (0, POOLING_RANK)
        """Whether the model declares a pooling type for embeddings, or the user has chosen one."""
        self._threads = threads
        trained = model.trained_context or CONTEXT
        wanted = CONTEXT if options.ctx_size == AUTOMATIC else options.ctx_size or trained
        self.room = min(wanted, trained)
        """Largest number of tokens of a text."""
        self._context: Any = None
        self._lock = threading.Lock()

    def embed(self, tokens: Sequence[int]) -> list[float]:
        """Return the embedding of a text: `n_embd` floats, L2-normalised. Safe from any thread.

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
            return self._compute(tokens)

    def close(self) -> None:
        """Free the context."""
        with self._lock:
            if self._context is not None:
                api.llama_free(self._context)
                self._context = None

    def _open(self) -> Any:
        settings = api.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = self.room
        settings.n_seq_max = 1
        settings.embeddings = True
        settings.pooling_type = self._pooling
        settings.n_threads = settings.n_threads_batch = self._threads
        settings.no_perf = True
        with native_call() as call:
            context = api.llama_init_from_model(self._model.handle, settings)
        if not context:
            raise ModelError(
                f"the engine cannot set up a context for vectors: {call.reason or NO_REASON}",
                hint="there may be too little memory",
            )
        return context

    def _compute(self, tokens: Sequence[int]) -> list[float]:
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
        vector = found[: int(api.llama_model_n_embd(self._model.handle))]
        length = math.sqrt(sum(value * value for value in vector))
        if not math.isfinite(length):
            raise ModelError("the model computed something that is not a number")
        return [value / length for value in vector] if length else list(vector)
