"""What words and meaning find becomes one ranking."""

from __future__ import annotations

import pytest

from runtime.retrieval.finding.fusion import WORDS, combined
from runtime.search.content import Hit


def test_a_piece_that_both_rankings_have_is_best() -> None:
    words = [Hit(1, 4.0), Hit(2, 3.0)]
    meaning = [Hit(3, 0.9), Hit(2, 0.85), Hit(4, 0.6)]

    found = combined(words, 12.0, meaning, 0.5, 10)

    assert [2, 1, 3, 4] == [hit.piece for hit in found]
    assert WORDS * 3 / 12 + 0.35 / 0.4 == pytest.approx(found[0].score)
    # What is not near enough to be ranked is at most as near as the last that is.
    assert WORDS * 4 / 12 + 0.1 / 0.4 == pytest.approx(found[1].score)
    assert found[:2] == combined(words, 12.0, meaning, 0.5, 2)


def test_words_that_are_hardly_there_leave_the_choice_to_meaning() -> None:
    meaning = [Hit(3, 0.9), Hit(4, 0.8)]

    assert 3 == combined([Hit(1, 1.0)], 30.0, meaning, 0.5, 1)[0].piece
    assert 1 == combined([Hit(1, 29.0)], 30.0, meaning, 0.5, 1)[0].piece


def test_one_ranking_alone_keeps_its_order() -> None:
    ranking = [Hit(7, 3.0), Hit(5, 2.0), Hit(6, 2.0)]

    assert [7, 5, 6] == [hit.piece for hit in combined(ranking, 9.0, [], 0.0, 10)]
    assert [7, 5, 6] == [hit.piece for hit in combined([], 9.0, ranking, 0.0, 10)]


def test_nothing_found_is_nothing() -> None:
    assert [] == combined([], 0.0, [], 0.0, 5)


def test_pieces_that_are_all_as_near_are_equal() -> None:
    found = combined([], 0.0, [Hit(1, 0.5), Hit(2, 0.5)], 0.5, 5)

    assert [Hit(1, 1.0), Hit(2, 1.0)] == found
