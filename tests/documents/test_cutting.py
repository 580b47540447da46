"""Pieces: whole sentences below their headings, none too long, nothing lost, each in its place."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from runtime.documents.chunking import Chunking
from runtime.documents.cutting import LEAST, SIGNS, Piece, cut
from runtime.documents.document import Block, Document, made
from runtime.documents.formats.markdown import read_markdown
from runtime.documents.formats.records import read_csv, read_jsonl
from runtime.errors import DocumentError, UsageError

SMALL = Chunking(60, 15, 20)


def markdown(text: str) -> Document:
    return read_markdown(text.encode(), "a.md")


def texts(text: str, chunking: Chunking = SMALL) -> list[str]:
    return [piece.text for piece in cut(markdown(text), chunking)]


def test_sentences_are_packed_and_the_last_ones_repeated() -> None:
    text = "The first one is here. The second is too. A third one. And then a fourth sentence."

    assert [
        "The first one is here. The second is too. A third one.",
        "A third one. And then a fourth sentence.",
    ] == texts(text)
    assert [
        "The first one is here. The second is too. A third one.",
        "And then a fourth sentence.",
    ] == texts(text, Chunking(60, 15, 0))


def test_headings_are_metadata_and_begin_a_piece() -> None:
    found = cut(
        markdown(
            "# Trips\n\nWe like trips.\n\n## Kyoto\n\nIt rained there.\n\n# Food\n\nGood food."
        )
    )

    assert [
        ("Trips", "We like trips."),
        ("Trips > Kyoto", "It rained there."),
        ("Food", "Good food."),
    ] == [(piece.heading, piece.text) for piece in found]
    assert "Trips > Kyoto\nIt rained there." == found[1].indexed


def test_headings_and_signs_alone_are_left_out() -> None:
    assert [] == texts("# Title\n\n## Short\n\n- - -")
    assert ["Grandmother's birthday is on 3 May"] == texts("# Grandmother's birthday is on 3 May")
    assert ["What follows is all there is"] == texts(
        "# A long title\n\n## What follows is all there is"
    )


def test_a_section_that_says_little_keeps_its_heading_with_it() -> None:
    (piece,) = cut(markdown("# Recipes\n\n## Is sugar in it?\n\nNo."))

    assert ("Recipes", "Is sugar in it?\n\nNo.") == (piece.heading, piece.text)


def test_small_pieces_join_their_neighbours_below_the_same_heading() -> None:
    sentence = "This sentence has just about fifty characters, yes."
    assert [f"{sentence} End."] == texts(f"{sentence} End.")
    # Where there is no room, the one before gives a sentence.
    assert ["One sentence with words.", "Another one with words. The very end."] == texts(
        "One sentence with words. Another one with words. The very end.",
        Chunking(60, 15, 0),
    )


def test_a_paragraph_that_does_not_fit_begins_a_piece() -> None:
    one, two = "Some words about one. And more of it.", "Some words about two. And more."

    assert [one, two] == texts(f"{one}\n\n{two}", Chunking(60, 15, 0))


def test_code_is_kept_together_or_cut_between_lines() -> None:
    code = "```\nfor one in all:\n    use(one)\n\n    leave(one)\n```"
    assert [
        "Some words before it come here.",
        "for one in all:\n    use(one)\n\n    leave(one)",
    ] == texts(f"Some words before it come here.\n\n{code}")

    lines = [f"line {number} of the code" for number in range(6)]
    found = texts("```\n" + "\n".join(lines) + "\n```")
    assert lines == "\n".join(found).split("\n")


def test_the_head_of_a_table_is_repeated() -> None:
    rows = [f"| dish {number} | {number}00 yen |" for number in range(5)]
    head = "| dish | price |\n|---|---|"
    found = cut(markdown(f"{head}\n" + "\n".join(rows)), SMALL)

    assert all(piece.text.startswith(head) for piece in found)
    assert rows == [row for piece in found for row in piece.text.split("\n")[2:]]
    assert ["", *[head] * (len(found) - 1)] == [piece.head for piece in found]


def test_rows_of_a_table_are_understood_alone() -> None:
    rows = "name,town,what\n" + "".join(f"Anna {n},Kyoto,likes rain and snow\n" for n in range(3))
    found = cut(read_csv(rows.encode(), "a.csv"), SMALL)

    assert [f"name: Anna {n}\ntown: Kyoto\nwhat: likes rain and snow" for n in range(3)] == [
        piece.text for piece in found
    ]


def test_pieces_have_the_metadata_of_where_they_begin() -> None:
    blocks = [
        Block("heading", "A", 1, page=1),
        Block("paragraph", "This is on the first page.", page=1),
        Block("paragraph", "This is on the second page, which has more words.", page=2),
    ]
    found = cut(made("b/a.pdf", "pdf", blocks, title="T", date="2024-05"), SMALL)

    assert [
        ("b/a.pdf", "pdf", "T", "2024-05", "A", 1),
        ("b/a.pdf", "pdf", "T", "2024-05", "A", 2),
    ] == [(one.path, one.kind, one.title, one.date, one.heading, one.page) for one in found]


def test_records_and_dates_are_not_mixed() -> None:
    records = (
        b'{"title": "First", "date": "2024-05-03", "kind": "diary", "text": "It rained today."}\n'
        b'{"text": "No title and no date."}\n'
    )
    assert [("diary", "2024-05-03", "First"), ("records", "", "")] == [
        (piece.kind, piece.date, piece.heading) for piece in cut(read_jsonl(records, "a.jsonl"))
    ]

    rows = b"date,note\n2024-05-03,rain\n2024-05-04,snow\n"
    assert ["2024-05-03", "2024-05-04"] == [p.date for p in cut(read_csv(rows, "a.csv"))]


def test_long_sentences_are_cut_at_commas_then_at_spaces_then_anywhere() -> None:
    most = Chunking(20, 0, 0)
    assert ["雨が降っていて、風も吹いていて、", "とても寒い日だった。"] == texts(
        "雨が降っていて、風も吹いていて、とても寒い日だった。", most
    )
    assert ["one two three", "four five six", "seven eight nine ten"] == texts(
        "one two three four five six seven eight nine ten", most
    )
    assert ["x" * 17, "x" * 17, "x" * 16] == texts("x" * 50, most)
    assert ["「雨が降る。傘を持って行け。", "早く帰れ。」と言った。"] == texts(
        "「雨が降る。傘を持って行け。早く帰れ。」と言った。", most
    )


def test_what_people_see_as_one_character_is_not_cut() -> None:
    family = "👨‍👩‍👧‍👦"
    found = texts(family * 20, Chunking(20, 0, 0))

    assert family * 20 == "".join(found)
    assert all("" == piece.replace(family, "") for piece in found)
    # One that is longer than a piece has to be.
    piled = "x" + "\u0300" * 50
    assert piled == "".join(texts(piled, Chunking(20, 0, 0)))


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("max=400,min=40,overlap=60", (400, 40, 60)),
        ("", (400, 40, 60)),
        (" max = 800 , overlap=0", (800, 40, 0)),
        ("max_chars=500,min_chars=50", (500, 50, 60)),
    ],
)
def test_sizes_are_spelled_as_an_option(text: str, sizes: tuple[int, int, int]) -> None:
    chunking = Chunking.parse(text)

    assert Chunking(*sizes) == chunking == Chunking.parse(str(chunking))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("max", "'max' is no size of pieces"),
        ("most=3", "'most=3' is no size of pieces"),
        ("max=-1", "'max=-1' is no size of pieces"),
        ("max=٣", "is no size of pieces"),
        ("max=10", "up to 10 characters are asked for, expected 20 to 100000"),
        ("min=201", "min is 201, expected 0 to half of max, which is 400"),
        ("max=100", "overlap is 60, expected 0 to half of max"),
    ],
)
def test_sizes_that_cannot_be_are_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        Chunking.parse(text)


WORDS = st.text(
    st.sampled_from("ab c雨が京都。！？」「（）.!?…\n“”\"',、3 \u3000#*-|\u0301\u3099")
    | st.characters(exclude_categories=["Cs"]),
    max_size=150,
)
BLOCKS = st.lists(
    st.builds(
        Block,
        st.sampled_from(["heading", "paragraph", "code", "table", "list"]),
        WORDS,
        st.integers(1, 3),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["", "2024"]),
        record=st.integers(0, 1),
    ),
    max_size=8,
)
SIZES = st.integers(20, 120).flatmap(
    lambda most: st.builds(
        Chunking, st.just(most), st.integers(0, most // 2), st.integers(0, most // 2)
    )
)


@given(BLOCKS, SIZES)
def test_pieces_are_in_bounds_in_order_and_in_place(blocks: list[Block], sizes: Chunking) -> None:
    try:
        document = made("a", "text", blocks)
    except DocumentError:
        return
    pieces = cut(document, sizes)

    assert pieces == cut(made("a", "text", blocks), sizes)
    for piece in pieces:
        assert 0 < len(piece.text) <= sizes.max_chars
        shown = document.text[piece.begin : piece.end]
        assert piece.text == (f"{piece.head}\n{shown}" if piece.head else shown)
        assert len(piece.text.strip(SIGNS)) >= LEAST
    for one, following in itertools.pairwise(pieces):
        assert one.begin < following.begin
        assert one.end < following.end
        assert one.end - following.begin <= sizes.overlap
    assert_nothing_is_lost(document, pieces)
    assert_no_character_is_cut(document, pieces)


def assert_nothing_is_lost(document: Document, pieces: list[Piece]) -> None:
    """What is in no piece is space, a heading, or has too little to say."""
    kept = [False] * len(document.text)
    for piece in pieces:
        kept[piece.begin : piece.end] = [True] * (piece.end - piece.begin)
    for block, begin in zip(document.blocks, document.begins, strict=True):
        runs = "".join(
            "\0" if there else char
            for char, there in zip(block.text, kept[begin : begin + len(block.text)], strict=True)
        )
        for run in runs.split("\0") if block.kind != "heading" else ():
            assert len(run.strip(SIGNS).strip()) < LEAST, run


def assert_no_character_is_cut(document: Document, pieces: list[Piece]) -> None:
    """No piece begins or ends inside of what people see as one character."""
    for block, begin in zip(document.blocks, document.begins, strict=True):
        edges, place = {begin}, begin
        for cluster in wcwidth.iter_graphemes(block.text):
            place += len(cluster)
            edges.add(place)
        inside = set(range(begin, place)) - edges
        for piece in pieces:
            if not any(len(one) > 20 for one in wcwidth.iter_graphemes(block.text)):
                assert piece.begin not in inside
                assert piece.end not in inside


def test_cutting_loads_no_reader() -> None:
    code = (
        "import sys, runtime.documents.cutting; "
        "print({'email', 'csv', 'html', 'json', 'zipfile', 'wcwidth'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "set()\n" == done.stdout
