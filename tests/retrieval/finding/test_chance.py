"""How near pieces are to questions by chance is kept with an index."""

from __future__ import annotations

import pytest
from indexes import LIBRARY, cuts, opened, vectors

from runtime.retrieval.finding.chance import FACT, Chance, Watch
from runtime.search.index import Index
from runtime.search.writer import Writer, copy

DIMENSIONS = 12
PROBES = vectors(5, DIMENSIONS, seed=9)


def made(probes: list[list[float]], source: Index | None = None) -> Index:
    writer = Writer(DIMENSIONS, {"embedder": "none"}, Watch(probes) if probes else None)
    if source:
        copy(source, source.documents(), writer)
    else:
        for number, paper in enumerate(LIBRARY):
            pieces = cuts(paper)
            writer.add(paper, pieces, vectors(len(pieces), DIMENSIONS, seed=number))
    return opened(b"".join(writer.finish().chunks()))


def test_it_is_that_of_the_nearest_piece_to_each_question() -> None:
    index = made(PROBES)
    nearest = sorted(index.nearest(probe, 1)[0].score for probe in PROBES)
    found = Chance.parse(index.head.facts[FACT])

    assert found is not None
    assert nearest[2] == pytest.approx(found.median, abs=0.01)
    assert found.exceeded_by(found.median + 2 * found.deviation) == pytest.approx(2)
    assert "none" == index.head.facts["embedder"]


def test_documents_that_are_copied_count_too() -> None:
    index = made(PROBES)
    again = Chance.parse(made(PROBES, index).head.facts[FACT])
    first = Chance.parse(index.head.facts[FACT])

    assert first is not None and again is not None
    assert first.median == pytest.approx(again.median, abs=0.01)


def test_without_questions_it_is_not_known() -> None:
    assert FACT not in made([]).head.facts


@pytest.mark.parametrize("fact", ["", "0.5", "a b", "2 0.1", "0.5 -1", "nan nan", "0.1 0.2 0.3"])
def test_what_a_stranger_wrote_is_no_figure(fact: str) -> None:
    assert Chance.parse(fact) is None


def test_all_as_near_is_not_divided_by_nothing() -> None:
    found = Chance.parse("0.5000 0.0000")

    assert found is not None and found.exceeded_by(0.6) < 100
