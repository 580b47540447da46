"""Chance: how near the nearest piece is to questions that it has nothing to do with.

Models differ in that: the cosines of some lie between 0.7 and 1. So while an index is made, its
vectors are held against those of such questions, and it keeps what was nearest to them.
"""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.search import loops
from runtime.search.layout import AREA_ALIGNMENT

FACT = "chance"
"""Its name among an index's facts."""
LEAST = 0.005
"""Of the deviation, which is what is divided by; a cosine is not kept more exactly."""


@dataclass(frozen=True)
class Chance:
    """The cosines of what is nearest to questions that nothing answers."""

    median: float
    deviation: float

    def __str__(self) -> str:
        return f"{self.median:.4f} {self.deviation:.4f}"

    @classmethod
    def parse(cls, fact: str) -> Chance | None:
        """Return what an index's fact says; None if it says nothing."""
        try:
            median, deviation = (float(word) for word in fact.split())
        except ValueError:
            return None
        return cls(median, max(deviation, LEAST)) if abs(median) <= 1 >= deviation >= 0 else None

    def exceeded_by(self, cosine: float) -> float:
        """Return by how many deviations a piece is nearer than by chance."""
        return (cosine - self.median) / self.deviation


class Watch:
    """Looks at the vectors of pieces while they are indexed."""

    def __init__(self, probes: Sequence[Sequence[float]]) -> None:
        """Take the vectors of the questions, one at least."""
        width = -(-len(probes[0]) // AREA_ALIGNMENT) * AREA_ALIGNMENT
        rows = [loops.row(probe, width) for probe in probes]
        self._rows = array("b", b"".join(row.numbers for row in rows))
        self._scales = array("f", [row.scale for row in rows])
        self._width = width
        self._nearest = [-1.0] * len(rows)

    def see(self, vector: Sequence[float]) -> None:
        """Take the vector of a piece into account."""
        count = len(self._nearest)
        for hit in loops.nearest(
            self._rows.buffer_info()[0],
            self._scales.buffer_info()[0],
            count, self._width, vector, count, None,
        ):  # fmt: skip
            self._nearest[hit.piece] = max(self._nearest[hit.piece], hit.score)

    def facts(self) -> Mapping[str, str]:
        """Return what was nearest to the questions."""
        nearest = self._nearest
        return {FACT: str(Chance(statistics.median(nearest), statistics.pstdev(nearest)))}
