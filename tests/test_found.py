"""What counts as found in the benchmark of retrieval."""

from __future__ import annotations

import math

import pytest

from benchmarks.found import Place, gain, place, quality, recall

TEXT = "# Prices\n\n| what | how much |\n| --- | --- |\n| skiff | **£4.50** an hour |\n"


def test_an_excerpt_is_placed_whatever_signs_are_between() -> None:
    found = place("a.md", TEXT, "skiff £4.50 an hour")

    assert "skiff | **£4.50** an hour" == TEXT[found.begin : found.end]


@pytest.mark.parametrize("excerpt", ["dinghy", "", "|"])
def test_an_excerpt_must_be_there(excerpt: str) -> None:
    with pytest.raises(ValueError, match=r"a\.md"):
        place("a.md", TEXT, excerpt)


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (0, 100, True),
        (0, 15, True),
        (0, 14, False),
        (15, 40, True),
        (16, 90, False),
        (12, 14, True),
    ],
)
def test_half_of_the_excerpt_or_of_the_piece_is_enough(
    begin: int, end: int, expected: bool
) -> None:
    assert expected == Place("a", begin, end).covers(Place("a", 10, 20))
    assert not Place("b", begin, end).covers(Place("a", 10, 20))


def test_recall_and_gain_are_those_of_the_books() -> None:
    wanted = [Place("a", 0, 10), Place("b", 0, 10)]
    found = [Place("c", 0, 10), Place("a", 0, 10), Place("a", 0, 10)]

    assert 0.5 == recall(wanted, found)
    ideal = 1 + 1 / math.log2(3)
    assert 1 / math.log2(3) / ideal == pytest.approx(gain(wanted, found))
    assert 1 == gain(wanted, [*wanted, *found]) == gain(wanted[:1], [Place("a", 0, 99)])


def test_quality_takes_five_for_recall_and_ten_for_gain() -> None:
    other, wanted = Place("x", 0, 9), Place("a", 0, 10)
    found = quality({"q": [wanted]}, {"q": [*[other] * 5, wanted]})

    assert (0, pytest.approx(1 / math.log2(7))) == (found.recall, found.gain)
