"""Reranking: how well texts answer a query, by models that were made to say that."""

from __future__ import annotations

from runtime import bounds
from runtime.inference.vectors.pooled_context import PooledContext, room_for
from runtime.inference.vectors.rank_pair import POOLING_RANK, pair_tokens
from runtime.model.model import Model
from runtime.options.registry import Options


class Reranker:
    """Scores texts; its context is created at the first call."""

    def __init__(self, model: Model, options: Options, *, declared: int, threads: int) -> None:
        """Take the pooling type in the model's metadata as `declared`."""
        self._model = model
        self.possible = declared == POOLING_RANK and options.pooling == "auto"
        """Whether the model was made for that."""
        self._context = PooledContext(
            model, pooling=POOLING_RANK, room=room_for(model, options), threads=threads
        )

    def tokens(self, query: str, text: str) -> list[int]:
        """Return what the model reads: both in its own template, or else one after the other."""
        return pair_tokens(self._model, query, text, bounds.INTEGER)

    def score(self, tokens: list[int]) -> float:
        """Return the score of a query and a text, the more the better. Safe from any thread.

        Raise ModelError if they are too long, or the engine fails.
        """
        return self._context.compute(tokens, 1)[0]

    def close(self) -> None:
        """Free the context."""
        self._context.close()
