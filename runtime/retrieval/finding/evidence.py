"""Evidence: whether the best of what was found is about a question, or only the least far from it.

Refusing what could be answered is worse than to try what cannot: of the questions of
tests/fixtures/library, one in 50 is refused wrongly; benchmarks/rows/retrieval.py measures.
"""

from __future__ import annotations

from runtime.retrieval.finding.chance import FACT, Chance
from runtime.search.content import Ranking
from runtime.search.index import Index

WORDS = 0.85
"""How many words that nothing else has a piece must be worth, where it is found by words alone."""
BOTH, WEIGHT = 1.2, 2.0
"""Deviations that a piece must be nearer than by chance, and for how many such a word counts."""
SHARE = 0.35
"""Of what all words of a question could be worth: enough for short questions, which have few."""
FEW = 30
"""Pieces: how rare a word is among fewer says nothing yet."""


def is_there(index: Index, question: str, by_words: Ranking, by_meaning: Ranking) -> bool:
    """Return whether any of what was found is likely about a question."""
    if len(index) < FEW:
        return bool(by_words or by_meaning)
    best = by_words[0].score if by_words else 0.0
    if best > 0 and best >= SHARE * index.reach(question):
        return True
    words = best / index.rarest
    chance = Chance.parse(index.head.facts.get(FACT, ""))
    if not by_meaning:
        return words >= WORDS
    if chance is None:  # the index was made without asking
        return True
    return chance.exceeded_by(by_meaning[0].score) + WEIGHT * words >= BOTH
