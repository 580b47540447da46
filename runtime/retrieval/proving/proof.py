"""Proof: whether a model ranks pairs of sentences rightly, before it is put into a program.

A wrong pooling makes vectors that look like any others, and find next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

from runtime.container.text_form import POOLINGS, TextForm
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options
from runtime.retrieval.embedding import LocalEmbedder
from runtime.retrieval.library import TextEmbedder, TextRanker
from runtime.retrieval.proving.texts import ENGLISH, PAIRS, Pair
from runtime.retrieval.ranking import LocalRanker

Scores = Callable[[str, Sequence[str]], Sequence[float]]
"""Returns how well each text answers a question."""


@dataclass(frozen=True)
class Verdict:
    """How many pairs of each language a model ranks rightly."""

    right: Mapping[str, int]

    @property
    def total(self) -> int:
        """Return how many it ranks rightly in all languages together."""
        return sum(self.right.values())

    @property
    def languages(self) -> list[str]:
        """Return the languages in which it ranks all pairs rightly."""
        return [name for name, right in self.right.items() if right == len(PAIRS[name])]

    @property
    def passes(self) -> bool:
        """Tell whether it can be relied upon: every model that is one handles English."""
        return ENGLISH in self.languages

    def line(self) -> dict[str, Any]:
        """Return it as plain values, for another process."""
        others = [name for name in self.right if name not in self.languages]
        return {"passes": self.passes, "languages": self.languages, "others": others,
                "right": self.total, "of": sum(map(len, PAIRS.values()))}  # fmt: skip


def judge(scores: Scores) -> Verdict:
    """Return how a model ranks what answers each question before all that does not."""
    return Verdict({name: _right(scores, pairs) for name, pairs in PAIRS.items()})


def _right(scores: Scores, pairs: Sequence[Pair]) -> int:
    texts = [*(pair.answer for pair in pairs), *(pair.lure for pair in pairs)]
    count = 0
    for number, pair in enumerate(pairs):
        found = scores(pair.question, texts)
        rivals = [*found[:number], *found[number + 1 : len(pairs)], found[len(pairs) + number]]
        count += all(found[number] > rival for rival in rivals)
    return count


def of_embedder(embedder: TextEmbedder) -> Verdict:
    """Return how vectors rank the pairs."""
    known: dict[str, Sequence[float]] = {}

    def scores(question: str, texts: Sequence[str]) -> list[float]:
        if new := [text for text in texts if text not in known]:
            known.update(zip(new, embedder.passages(new), strict=True))
        vector = embedder.query(question)
        return [sum(map(mul, vector, known[text])) for text in texts]

    return judge(scores)


def of_ranker(ranker: TextRanker) -> Verdict:
    """Return how a reranking model ranks the pairs."""
    return judge(ranker.scores)


def embedder_verdicts(
    source: ModelFile, form: TextForm, options: Options
) -> Iterator[dict[str, Any]]:
    """Yield how the model in `source` ranks, used in `form`; if not rightly, pooled otherwise, too.

    The first line is of `form` itself; each has the `pooling`. Raise AppError if the engine cannot
    use it as an embedding model at all.
    """
    others = [name for name in POOLINGS if name != form.pooling]
    for pooling in (form.pooling, *others):
        embedder = LocalEmbedder(source, TextForm(pooling, form.query, form.passage), options)
        try:
            verdict = of_embedder(embedder)
        finally:
            embedder.close()
        yield {"pooling": pooling, "dimensions": embedder.dimensions, **verdict.line()}
        if verdict.passes and pooling == form.pooling:
            return


def ranker_verdict(source: ModelFile, options: Options) -> dict[str, Any]:
    """Return how the reranking model in `source` ranks; raise AppError if it is none."""
    ranker = LocalRanker(source, options)
    try:
        return of_ranker(ranker).line()
    finally:
        ranker.close()
