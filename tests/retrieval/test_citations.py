"""Citations of an answer: which are left, and that it does not matter how the answer comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.retrieval.citations import LONGEST, SPAN_LONGEST, Citations, without_own

GIVEN = 3
PARTS = st.sampled_from(
    [*"[]【】［］`~ \n\t1290,;-–^†().:a_x京", "[1]", "[9]", " [9]", "[1, 9]", "[2-4]", "```",
     "```py\n", "\n```\n", "`a[9]`", "a[9]", "x_1[9]", "fact[9]", "[9](", "[0, 1]", "[2024]", "- ",
     "12. ", "> ", "word ", "。", " " * LONGEST, "x" * SPAN_LONGEST]
)  # fmt: skip

CITING = st.sampled_from(
    [*"[]【】 \n\t1290,-^†.京", "[1]", "[9]", " [9]", "[1, 9]", "[2-4]", "word "]
)
"""Without what may be code, a link or an index."""


def read(text: str) -> tuple[str, list[int], int]:
    """Return the answer as it is shown, what it cites, and how many citations were removed."""
    citations = Citations(GIVEN)
    return citations.feed(text, last=True), citations.cited, citations.removed


@pytest.mark.parametrize(
    ("written", "shown", "cited", "removed"),
    [
        ("It rained [1]. Then not [3][2].", "It rained [1]. Then not [3][2].", [1, 3, 2], 0),
        ("It rained [9]. Yes [1, 9].", "It rained. Yes [1].", [1], 2),
        ("One [1][9][8] after another [9].", "One [1] after another.", [1], 3),
        ("One [9][8][2] and two [9] [3].", "One [2] and two [3].", [2, 3], 3),
        ("A range [1-3], one beyond [2–4].", "A range [1, 2, 3], one beyond [2, 3].", [1, 2, 3], 1),
        ("京都です［１］。東京【9】。【2】", "京都です[1]。東京。[2]", [1, 2], 1),
        ("A source【2†L1-L4】 and [^1].", "A source[2] and [1].", [2, 1], 0),
        ("[9] At the start\n[8] of [7] a line", "At the start\nof a line", [], 3),
        ("in 1887[9] and bridge[1].", "in 1887 and bridge[1].", [1], 1),
    ],
)
def test_citations_of_nothing_are_removed(
    written: str, shown: str, cited: list[int], removed: int
) -> None:
    assert (shown, cited, removed) == read(written)


@pytest.mark.parametrize(
    "text",
    [
        "Take a[9], x_y[4] and m[9][9].",
        "The code `rows [9]` and ``a ` [9]``.",
        "```python\nrows [9]\n```",
        "- ~~~\n  rows [9]\n  ~~~\n",
        "A link [9](https://example.org).",
        "The interval [0, 1], a box [ ], a mark [x], a year [2024].",
    ],
)
def test_what_is_no_citation_stays(text: str) -> None:
    assert (text, [], 0) == read(text)


def test_behind_code_citations_are_checked_again() -> None:
    assert "```\na [9]\n```\nThen." == read("```\na [9]\n```\nThen [9].")[0]
    assert "`open and\nmore" == read("`open [9] and\nmore [9]")[0]


@given(st.lists(PARTS, max_size=24).map("".join), st.data())
def test_however_it_comes_it_is_the_same(text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=12).map(sorted))
    citations = Citations(GIVEN)
    ends = [*places, len(text)]
    shown = "".join(
        citations.feed(text[begin:end]) for begin, end in zip([0, *places], ends, strict=True)
    )
    shown += citations.feed("", last=True)

    assert read(text) == (shown, citations.cited, citations.removed)


@given(st.lists(CITING, max_size=24).map("".join))
def test_what_is_left_points_somewhere(text: str) -> None:
    shown, cited, _ = read(text)

    assert (shown, cited, 0) == read(shown)


def test_little_is_held_back() -> None:
    citations = Citations(GIVEN)

    assert "It" == citations.feed("It")
    assert " rained" == citations.feed(" rained")
    assert "" == citations.feed(" [")
    assert "" == citations.feed("1]")
    assert " [1]." == citations.feed(".")


def test_own_numbers_of_a_passage_are_no_citations() -> None:
    assert "As shown (3), by a[1] and (4, 5)." == without_own("As shown [3], by a[1] and [4, 5].")
