"""Found or not: what a search gave for a question, held against where its answer stands.

A piece or passage counts as found for an excerpt if it is of the same document, and has at least
half of the excerpt or is at least half within it. Excerpts are placed in what was read of a
document by their letters and digits alone: tables and markup have other signs between.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A part of a document."""

    path: str
    begin: int
    end: int

    def covers(self, excerpt: Place) -> bool:
        """Return whether this place was a find for one who looks for `excerpt`."""
        if self.path != excerpt.path:
            return False
        common = min(self.end, excerpt.end) - max(self.begin, excerpt.begin)
        shorter = min(self.end - self.begin, excerpt.end - excerpt.begin)
        return 2 * common >= shorter > 0


def place(path: str, text: str, excerpt: str) -> Place:
    """Return where an excerpt stands in a document's text; raise ValueError where it does not."""
    letters = [(letter, at) for at, letter in enumerate(text) if letter.isalnum()]
    wanted = "".join(filter(str.isalnum, excerpt))
    at = "".join(letter for letter, _ in letters).find(wanted)
    if at < 0 or not wanted:
        raise ValueError(f"{path} has not: {excerpt}")
    return Place(path, letters[at][1], letters[at + len(wanted) - 1][1] + 1)


@dataclass(frozen=True)
class Quality:
    """How well questions were answered, on average."""

    recall: float
    """Of the excerpts, how many are among the first five."""
    gain: float
    """Normalized discounted cumulative gain of the first ten: 1 if all excerpts come first."""


def quality(wanted: Mapping[str, Sequence[Place]], found: Mapping[str, Sequence[Place]]) -> Quality:
    """Return the averages over the questions of `wanted`, by their ids."""
    recalls = [recall(wanted[name], found[name][:5]) for name in wanted]
    gains = [gain(wanted[name], found[name][:10]) for name in wanted]
    return Quality(_mean(recalls), _mean(gains))


def recall(wanted: Sequence[Place], found: Sequence[Place]) -> float:
    """Return the share of `wanted` that is found."""
    return _mean([any(one.covers(excerpt) for one in found) for excerpt in wanted])


def gain(wanted: Sequence[Place], found: Sequence[Place]) -> float:
    """Return the normalized discounted cumulative gain; an excerpt counts where it comes first."""
    left, total = list(wanted), 0.0
    for number, one in enumerate(found, 2):
        for excerpt in [excerpt for excerpt in left if one.covers(excerpt)]:
            left.remove(excerpt)
            total += 1 / math.log2(number)
    # A passage may have two excerpts, so the best is not more than all in the first places.
    best = sum(1 / math.log2(number) for number in range(2, len(wanted) + 2))
    return min(total / best, 1.0)


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else 0.0
