"""Library: the documents that a program answers from, and how passages in them are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.retrieval.finding import evidence, follow_up, fusion
from runtime.retrieval.finding.follow_up import Rewrite, Turn
from runtime.search import filters, passages
from runtime.search.content import Hit
from runtime.search.filters import Filters
from runtime.search.index import Index
from runtime.search.passages import Passage

PASSAGES = 5
"""Passages that are looked for, unless more or fewer are asked for."""
RANKS = 200
"""Pieces of each ranking that are put together: what is below does not come up again."""
CANDIDATES = 50
"""Pieces that passages are made of, or are longer by."""


RANKED = 20
"""Passages that a ranker reads; those of which it thinks best are what is found."""


class TextEmbedder(Protocol):
    """Turns texts into vectors that point the same way where they mean the same."""

    @property
    def dimensions(self) -> int:
        """Return how many numbers a vector has."""

    @property
    def identity(self) -> str:
        """Return what tells it from others: vectors of another are of no use with its own."""

    def query(self, text: str) -> Sequence[float]:
        """Return the vector of a question, of length 1."""

    def passages(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """Return the vectors of texts in which answers may be, each of length 1."""


class TextRanker(Protocol):
    """Tells how well texts answer a question, by reading both at once."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return a score for each text, higher for better ones."""


@dataclass(frozen=True)
class Finding:
    """What was found for a question."""

    question: str
    """What was looked for, without the filters in it."""
    passages: Sequence[Passage]
    """The best first; empty where there are none."""
    answerable: bool = True
    """Whether any of them is likely about the question, and not only the least far from it."""


class Library:
    """An index, and the models that help to find in it; safe to use from any thread."""

    def __init__(
        self,
        index: Index,
        embedder: TextEmbedder | None = None,
        ranker: TextRanker | None = None,
    ) -> None:
        """Without an embedder it finds by words alone; a ranker puts what was found in order."""
        self.index = index
        self._embedder = embedder
        self._ranker = ranker

    def find(
        self,
        question: str,
        limit: int = PASSAGES,
        before: Sequence[Turn] = (),
        rewrite: Rewrite | None = None,
    ) -> Finding:
        """Return the passages that answer a question the most likely, at most `limit`.

        The question may have filters, see `runtime.search.filters`; raise UsageError if one is
        wrong, AppError if a model fails. If it only makes sense after the turns `before`, `rewrite`
        may make it one that stands alone; otherwise they lend it their words.
        """
        words, wanted = filters.parse(question)
        asked = follow_up.asked(words, before, rewrite)
        hits, answerable = self._hits(f"{asked.context} {asked.question}".strip(), wanted)
        found = passages.passages(self.index, hits, RANKED if self._ranker else limit)
        if self._ranker:
            scores = self._ranker.scores(asked.question, [passage.text for passage in found])
            order = sorted(range(len(found)), key=lambda number: -scores[number])
            found = [found[number] for number in order[:limit]]
        return Finding(asked.question, found, answerable and bool(found))

    def _hits(self, question: str, wanted: Filters) -> tuple[list[Hit], bool]:
        """Return the best pieces, and whether any is likely about the question."""
        by_words = self.index.keywords(question, RANKS, wanted)
        by_meaning: list[Hit] = []
        usual = 0.0
        if self._embedder:
            vector = self._embedder.query(question)
            by_meaning = self.index.nearest(vector, RANKS, wanted)
            usual = self.index.usual(vector)
        reach = self.index.reach(question)
        hits = fusion.combined(by_words, reach, by_meaning, usual, CANDIDATES)
        return hits, evidence.is_there(self.index, question, by_words, by_meaning)
