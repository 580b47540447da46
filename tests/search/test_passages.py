"""Passages: neighbours joined, what says the same left out."""

from __future__ import annotations

import pytest
from indexes import LIBRARY, Cut, Paper, encoded, opened

from runtime.search.content import Hit
from runtime.search.index import Index
from runtime.search.passages import passages
from runtime.search.writer import Writer

SAME = "the train to the coast leaves at nine from the second platform behind the station"


@pytest.fixture(scope="module")
def index() -> Index:
    return opened(encoded())


def hits(*numbers: int) -> list[Hit]:
    return [Hit(number, 1 / (place + 1)) for place, number in enumerate(numbers)]


def test_neighbours_that_are_found_are_one_passage(index: Index) -> None:
    found = passages(index, hits(2, 5, 1), 5)

    assert [
        LIBRARY[0].text.partition("\n")[2],
        "The running dogs chased 1,200 cats through the houses.",
    ] == [each.text for each in found]
    assert (1, 2, 1.0) == (found[0].first.number, found[0].last.number, found[0].score)
    assert found[0].text == LIBRARY[0].text[found[0].begin : found[0].end]


def test_neighbours_in_another_document_are_apart(index: Index) -> None:
    assert 2 == len(passages(index, hits(2, 3), 5))


def test_the_limit_counts_passages_and_later_hits_still_join(index: Index) -> None:
    (found,) = passages(index, hits(0, 5, 1), 1)

    assert (0, 1) == (found.first.number, found.last.number)


def test_what_stands_around_is_shown_up_to_the_document_s_ends(index: Index) -> None:
    (found,) = passages(index, hits(1), 1, neighbours=5)

    assert LIBRARY[0].text == found.text


def copies(*dates: str, text: str = SAME) -> Index:
    writer = Writer()
    for number, date in enumerate(dates):
        paper = Paper(f"{number}.txt", text, date=date)
        writer.add(paper, [Cut(0, len(text), date=date)])
    return opened(b"".join(writer.finish().chunks()))


def test_what_says_the_same_is_left_out() -> None:
    assert 1 == len(passages(copies("", ""), hits(0, 1), 5))


def test_the_same_on_another_day_is_something_else() -> None:
    assert 2 == len(passages(copies("2024-05-03", "2024-05-04"), hits(0, 1), 5))


def test_short_pieces_are_not_compared() -> None:
    assert 2 == len(passages(copies("", "", text="it rained"), hits(0, 1), 5))


def test_a_passage_has_the_head_of_its_first_piece() -> None:
    writer = Writer()
    text = "name,price\nbread,3\nmilk,1"
    writer.add(Paper("prices.csv", text), [Cut(19, 25, head="name,price")])
    (found,) = passages(opened(b"".join(writer.finish().chunks())), hits(0), 1)

    assert "name,price\nmilk,1" == found.text


def test_passages_do_not_grow_without_end() -> None:
    text = "\n".join(f"line {i} " + "x" * 380 for i in range(12))
    found = passages(opened(encoded([Paper("long.txt", text)])), hits(*range(12)), 12)

    assert all(len(each.text) <= 1200 for each in found)
    assert 4 == len(found)
