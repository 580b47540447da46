"""Ranking: how well passages answer a question, told by a model that reads both at once."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.container import second_models
from runtime.container.bundle_file import Bundle
from runtime.container.second_models import RERANKER
from runtime.errors import ModelError
from runtime.host import resources
from runtime.inference.vectors.rank_pair import POOLING_RANK, pair_tokens
from runtime.inference.vectors.text_batches import TextBatches
from runtime.model import model_file
from runtime.model.loader import open_stored
from runtime.model.model import Model
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options


class LocalRanker:
    """A reranking model in the engine, beside others; safe to use from any thread."""

    def __init__(self, source: ModelFile, options: Options) -> None:
        """Load `source`, stored as it is; the engine must have been started.

        Raise AppError if that fails.
        """
        if source.header.hyper("pooling_type") != POOLING_RANK:
            raise ModelError(
                f"{source.label} is no model for reranking",
                hint="its header would say so: pooling_type 4; bundle another one",
            )
        self._source = source.opened_anew() if options.sleeps else source
        self._options = options
        self.open()

    def open(self) -> None:
        """Load the model, at first or after `close`; raise AppError if that fails."""
        source, options = self._source, self._options
        with open_stored(source, options) as file:
            self._model = Model(source, file, options)
        try:
            self._batches = TextBatches(
                self._model,
                pooling=POOLING_RANK,
                width=1,
                threads=options.threads_batch or options.threads or resources.physical_cores(),
            )
        except BaseException:
            self._model.close()
            raise

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return a score for each text, higher for better ones; raise ModelError on failure."""
        room = self._batches.room
        pairs = [pair_tokens(self._model, question, text, room) for text in texts]
        return [score for (score,) in self._batches.compute(pairs)]

    def close(self) -> None:
        """Free the model; `open` loads it again."""
        self._batches.close()
        self._model.close()


def open_ranker(bundle: Bundle | None, options: Options) -> LocalRanker | None:
    """Return the reranking model of `bundle`, loaded; None if it has none.

    The engine must have been started. Raise AppError if the model cannot be loaded.
    """
    section = second_models.section_of(bundle, RERANKER)
    if bundle is None or section is None:
        return None
    return LocalRanker(model_file.from_section(bundle, section), options)
