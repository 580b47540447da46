"""An index: what is put in is found, and given back."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import indexes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexes import LIBRARY, Cut, Paper, encoded, opened

from runtime import bounds
from runtime.errors import ModelError, UsageError
from runtime.search.content import Vector
from runtime.search.filters import Filters, parse
from runtime.search.index import Index
from runtime.search.text_store import TextWriter
from runtime.search.writer import Writer, copy

GOLDEN = Path(__file__).parents[1] / "golden" / "documents-v1.bin"


@pytest.fixture(scope="module")
def index() -> Index:
    return opened(encoded(facts={"embedder": "none"}), before=4096 * 3)


def test_the_golden_index_is_still_read_and_written() -> None:
    data = GOLDEN.read_bytes()

    assert encoded(facts={"embedder": "none"}) == data
    found = opened(data)
    assert [paper.path for paper in LIBRARY] == [each.path for each in found.documents()]
    assert LIBRARY[0].text == found.document_text(0)


def test_the_same_documents_give_the_same_bytes_in_another_process() -> None:
    code = (
        "import indexes, sys; sys.stdout.buffer.write(indexes.encoded(facts={'embedder':'none'}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )

    assert GOLDEN.read_bytes() == done.stdout


@pytest.mark.parametrize(
    ("question", "path", "line"),
    [
        ("京都", "diary/kyoto.md", 1),
        ("雨", "diary/kyoto.md", 1),
        ("傘を買う", "diary/kyoto.md", 2),
        ("Maedchen Buch", "notes/garten.txt", 1),
        ("Haus", "notes/garten.txt", 2),
        ("a dog", "notes/dogs.txt", 1),
        ("Mädchenbuch", "", 0),
        ("Hous", "notes/dogs.txt", 1),
        ("1200", "", 0),
        ("RAIN", "undated.txt", 1),
        ("nowhere to be found here: xyzzy", "", 0),
        ("", "", 0),
        ("rain after:2000", "", 0),
        ("Mädchen path:*dogs*", "notes/dogs.txt", 2),
        ("Mädchen kind:diary", "", 0),
        ("Garten before:2024", "notes/garten.txt", 1),
    ],
)
def test_words_find_their_piece(index: Index, question: str, path: str, line: int) -> None:
    text, filters = parse(question)

    hits = index.keywords(text, 5, filters)

    found = [index.piece(hit.piece) for hit in hits[:1]]
    assert [(path, line)] * bool(path) == [
        (index.document(piece.document).path, piece.page) for piece in found
    ]


def test_pieces_come_back_with_all_that_is_known(index: Index) -> None:
    numbers = iter(range(len(index)))
    for number, paper in enumerate(LIBRARY):
        assert paper.text == index.document_text(number)
        document = index.document(number)
        assert (paper.path, paper.kind, paper.title, paper.date) == (
            document.path, document.kind, document.title, document.date
        )  # fmt: skip
        for cut in indexes.cuts(paper):
            piece = index.piece(next(numbers))
            assert piece.number in document.pieces
            assert paper.text[cut.begin : cut.end] == index.text(piece.number)
            assert (number, cut.begin, cut.end, cut.page, cut.heading, cut.date) == (
                piece.document, piece.begin, piece.end, piece.page, piece.heading, piece.date
            )  # fmt: skip


@pytest.mark.parametrize("number", range(8))
def test_each_vector_is_nearest_to_itself(index: Index, number: int) -> None:
    document = index.document(index.piece(number).document)
    rows = indexes.vectors(len(document.pieces), seed=document.number)
    vector = rows[number - document.pieces.start]

    best = index.nearest(vector, 3)[0]

    assert (number, pytest.approx(1, abs=0.01)) == best


def test_filters_hold_for_vectors_too(index: Index) -> None:
    vector = [1.0] * indexes.DIMENSIONS

    found = index.nearest(vector, 100, Filters(kinds=("Note",), after="2024"))

    assert {5, 6} == {hit.piece for hit in found}


def test_vectors_of_another_model_are_refused(index: Index) -> None:
    with pytest.raises(
        ModelError, match="gives vectors of 3 dimensions, those of the index have 12"
    ):
        index.nearest([1, 2, 3], 5)


def test_an_index_without_vectors_finds_words_alone() -> None:
    found = opened(encoded(dimensions=0))

    assert [] == found.nearest([1, 2, 3], 5)
    assert found.keywords("京都", 5)


def test_an_empty_index_finds_nothing() -> None:
    found = opened(encoded(()))

    assert (0, []) == (len(found), found.keywords("京都", 5))
    assert [] == found.nearest([1.0] * indexes.DIMENSIONS, 5)
    assert [] == list(found.documents())


def test_an_index_is_copied_without_loss() -> None:
    data = encoded(facts={"embedder": "none"})
    old = opened(data)
    writer = Writer(old.head.dimensions, old.head.facts)
    copy(old, old.documents(), writer)

    assert data == b"".join(writer.finish().chunks())


def test_some_documents_are_copied_without_their_vectors() -> None:
    old, writer = opened(encoded()), Writer()
    copy(old, [old.document(3), old.document(0)], writer)
    new = opened(b"".join(writer.finish().chunks()))

    assert ["undated.txt", "diary/kyoto.md"] == [document.path for document in new.documents()]
    assert LIBRARY[0].text == new.document_text(1)
    assert [0] == [hit.piece for hit in new.keywords("rain", 5)]


def test_vectors_must_be_as_many_as_pieces() -> None:
    writer = Writer(4)
    with pytest.raises(ValueError, match="3 pieces with 0 vectors"):
        writer.add(LIBRARY[0], indexes.cuts(LIBRARY[0]))
    with pytest.raises(ValueError, match="a vector of 3 dimensions, not 4"):
        writer.add(LIBRARY[3], indexes.cuts(LIBRARY[3]), [[1, 2, 3]])


def test_too_many_dimensions_are_refused() -> None:
    with pytest.raises(UsageError, match="16,385 dimensions cannot be indexed"):
        Writer(bounds.VECTOR_DIMENSIONS + 1)


def test_texts_of_many_blocks_come_back() -> None:
    texts = ["é" * 100_000, "", "x" * 65_536, "\U0001f600" * 70_000]
    found = opened(encoded([Paper(str(i), text) for i, text in enumerate(texts)]))

    assert texts == [found.document_text(i) for i in range(len(texts))]


@given(st.lists(st.text(min_size=1, max_size=50), min_size=1, max_size=8))
@settings(max_examples=50)
def test_any_texts_come_back_and_are_found(texts: list[str]) -> None:
    clean = [text.encode(errors="ignore").decode().replace("\n", " ") or "x" for text in texts]
    papers = [Paper(f"{i}.txt", text) for i, text in enumerate(clean)]
    found = opened(encoded(papers, dimensions=0))

    for number, text in enumerate(clean):
        assert text == found.document_text(number) == found.text(number)
        hits = found.keywords(text, len(texts))
        assert number in {hit.piece for hit in hits} or not hits


def test_a_piece_may_have_a_head() -> None:
    writer = Writer()
    paper = Paper("prices.csv", "name,price\nbread,3\nmilk,1")
    writer.add(paper, [Cut(0, 18), Cut(19, 25, head="name,price")])
    found = opened(b"".join(writer.finish().chunks()))

    assert ("", "name,price") == (found.piece(0).head, found.piece(1).head)


def test_of_a_long_question_the_beginning_is_searched_for(index: Index) -> None:
    assert index.keywords("京都" + " " * (bounds.QUESTION - 4) + "雨", 5)
    assert [] == index.keywords(" " * bounds.QUESTION + "雨", 5)


def test_of_many_words_the_rarest_are_searched_for() -> None:
    many = bounds.QUESTION_TERMS + 1
    common = " ".join(
        f"w{'abcdefghij'[i // 100]}{'abcdefghij'[i // 10 % 10]}{i % 10}x" for i in range(many)
    )
    found = opened(encoded([Paper("a", common), Paper("b", common), Paper("c", f"{common} rare")]))

    assert 2 == found.keywords(f"{common} rare", 1)[0].piece


def test_a_word_is_found_within_another() -> None:
    texts = ["175 g Magerquark, gut abgetropft", "nichts davon", "Quark mit Brot", "Quarkkuchen"]
    found = opened(encoded([Paper(str(i), text) for i, text in enumerate(texts)]))

    hits = found.keywords("Quark", 5)

    assert 2 == hits[0].piece  # the word itself before those that have it
    assert {0, 2, 3} == {hit.piece for hit in hits}


def test_a_vector_without_a_direction_is_kept() -> None:
    writer = Writer(4)
    writer.add(LIBRARY[3], indexes.cuts(LIBRARY[3]), [[0, 0, 0, math.nan]])
    found = opened(b"".join(writer.finish().chunks()))

    assert Vector(0.0, bytes(64)) == found.vector(0)
    assert [(0, 0.0)] == found.nearest([1, 0, 0, 0], 3)


def test_texts_are_compressed() -> None:
    blocks: list[bytes] = []
    writer = TextWriter(blocks.append)
    writer.add(b"the same again and again, " * 10_000)
    writer.finish()

    assert sum(map(len, blocks)) < 10_000
