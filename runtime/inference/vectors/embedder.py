"""Embeddings of texts, computed in a context of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from runtime.inference.vectors.pooled_context import PooledContext, room_for
from runtime.inference.vectors.rank_pair import POOLING_RANK
from runtime.model.llama_api import api
from runtime.model.model import Model
from runtime.options.registry import Options

POOLING_TYPES = {"auto": -1, "mean": 1, "cls": 2, "last": 3}
"""Values of llama_pooling_type by option; -1 is the model's default."""


class Embedder:
    """Computes embeddings; its context is created at the first call."""

    def __init__(self, model: Model, options: Options, *, declared: int, threads: int) -> None:
        """Take the pooling type in the model's metadata as `declared`, 0 for none."""
        self._model = model
        self.possible = options.pooling != "auto" or declared not in (0, POOLING_RANK)
        """Whether the model declares a pooling type for embeddings, or the user has chosen one."""
        self.room = room_for(model, options)
        """Largest number of tokens of a text."""
        self.size = int(api.llama_model_n_embd(model.handle))
        """Numbers of an embedding."""
        pooling = POOLING_TYPES[options.pooling]
        self._context = PooledContext(model, pooling=pooling, room=self.room, threads=threads)

    def embed(self, tokens: Sequence[int], dimensions: int | None = None) -> list[float]:
        """Return the embedding of a text, L2-normalised: all its numbers, or the first ones.

        Safe from any thread. Raise ModelError if the text is empty or too long, or the engine
        fails.
        """
        vector = self._context.compute(tokens, self.size)[:dimensions]
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector] if length else vector

    def cut(self, tokens: list[int]) -> list[int]:
        """Return as many tokens of a text as there is room for, and what ends every text."""
        if len(tokens) <= self.room:
            return tokens
        # What the tokenizer puts around a text.
        end = self._model.tokenize("", beginning=True)[int(self._model.adds_bos) :]
        return [*tokens[: self.room - len(end)], *end]

    def close(self) -> None:
        """Free the context."""
        self._context.close()
