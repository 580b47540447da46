"""The compiled loops against plain Python."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.search import loops, pool
from runtime.search.content import Vector
from runtime.search.loops import Bits, Scores
from runtime.search.word_lists import WordLists

VECTORS = st.binary(min_size=70, max_size=70).map(
    lambda data: [byte - 128.0 if byte > 200 else byte / 7 for byte in data]
)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    lengths = math.sqrt(sum(x * x for x in one) * sum(x * x for x in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / lengths if lengths else 0.0


def nearest(
    rows: Sequence[Vector], vector: Sequence[float], most: int, bits: Bits | None = None
) -> list[tuple[int, float]]:
    width = len(rows[0].numbers) if rows else 64
    numbers = b"".join(row.numbers for row in rows)
    scales = b"".join(struct.pack("<f", row.scale) for row in rows)
    one, two = ctypes.create_string_buffer(numbers), ctypes.create_string_buffer(scales)
    places = ctypes.addressof(one), ctypes.addressof(two)
    return list(loops.nearest(*places, len(rows), width, vector, most, bits))


@given(st.lists(VECTORS, min_size=1, max_size=30), VECTORS)
def test_the_nearest_are_found(vectors: list[list[float]], question: list[float]) -> None:
    rows = [loops.row(vector, 128) for vector in vectors]

    found = nearest(rows, question, len(vectors))

    if any(question):
        assert set(range(len(vectors))) == {number for number, _ in found}
    for number, score in found:
        assert score == pytest.approx(cosine(vectors[number], question), abs=0.02)
    assert found == sorted(found, key=lambda hit: (-hit[1], hit[0]))
    assert nearest(rows, question, 3) == found[:3]


def test_a_row_is_as_exact_as_a_byte_can_be() -> None:
    vector = [math.sin(i) for i in range(384)]
    scale, numbers = loops.row(vector, 384)
    length = math.sqrt(sum(x * x for x in vector))

    for found, expected in zip(struct.unpack("384b", numbers), vector, strict=True):
        assert abs(found * scale - expected / length) <= scale / 2 + 1e-6
    assert 127 == max(abs(number) for number in struct.unpack("384b", numbers))


@pytest.mark.parametrize("width", [64, 1024, 16_384])
def test_the_largest_numbers_do_not_overflow(width: int) -> None:
    rows = [Vector(1.0, b"\x80" * width), Vector(1.0, b"\x7f" * width)]

    (best, high), (worst, low) = nearest(rows, [1.0] * width, 2)

    assert (1, 0) == (best, worst)
    assert high == pytest.approx(127 * math.sqrt(width), rel=1e-3)
    assert low == pytest.approx(-128 * math.sqrt(width), rel=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_question_without_a_direction_finds_nothing(bad: float) -> None:
    rows = [loops.row([1.0] * 64, 64)]

    assert [] == nearest(rows, [bad] * 64, 1)
    assert [] == nearest(rows, [0.0] * 64, 1)


def test_scales_that_are_no_numbers_are_passed_over() -> None:
    rows = [Vector(math.nan, b"\1" * 64), Vector(1.0, b"\1" * 64)]

    assert [1] == [number for number, _ in nearest(rows, [1.0] * 64, 5)]


def test_equal_ones_come_in_their_order() -> None:
    rows = [loops.row([1.0] * 64, 64)] * 40

    assert list(range(7)) == [number for number, _ in nearest(rows, [1.0] * 64, 7)]


def selected(values: Sequence[int], wanted: bytes) -> Bits:
    rows = (ctypes.c_uint32 * (2 * len(values)))()
    for number, value in enumerate(values):
        rows[2 * number + 1] = value
    bits = Bits(len(values))
    bits.select(ctypes.addressof(rows), len(values), 2, 1, wanted)
    return bits


@given(st.lists(st.integers(0, 9), min_size=1, max_size=70), st.binary(max_size=8))
def test_what_is_not_wanted_is_not_found(values: list[int], wanted: bytes) -> None:
    rows = [loops.row([1.0] * 64, 64)] * len(values)

    found = nearest(rows, [1.0] * 64, len(values), selected(values, wanted))

    expected = [i for i, value in enumerate(values) if value < len(wanted) and wanted[value]]
    assert expected == [number for number, _ in found]


def scored(
    pieces: Sequence[Sequence[str]], words: Sequence[str], most: int = 100
) -> list[tuple[int, float]]:
    """Return what is found in pieces by words that all weigh 1."""
    lists = WordLists()
    for piece in pieces:
        lists.add(piece)
    areas, terms = lists.areas(), lists.terms()
    lengths = ctypes.create_string_buffer(areas["lengths"])
    content = ctypes.create_string_buffer(areas["lists"])
    places = [place for (place,) in struct.iter_unpack("<Q", areas["places"])]
    average = lists.tokens / max(len(pieces), 1)
    scores = Scores(ctypes.addressof(lengths), len(pieces), average)
    for word in words:
        if word in terms:
            begin, end = places[terms.index(word) :][:2]
            assert scores.add(ctypes.addressof(content) + begin, end - begin, 1.0)
    return list(scores.best(most, None))


@given(
    st.lists(st.text("abcdef", max_size=300).map(list), min_size=1, max_size=40),
    st.sets(st.sampled_from("abcdefg")),
)
def test_words_are_worth_what_bm25_says(pieces: list[list[str]], words: set[str]) -> None:
    found = dict(scored(pieces, sorted(words), len(pieces)))

    average = sum(map(len, pieces)) / len(pieces)
    for number, piece in enumerate(pieces):
        expected = sum(
            times / (times + 0.9 * (1 - 0.4 + 0.4 * len(piece) / average))
            for word in words
            if (times := piece.count(word))
        )
        assert found.get(number, 0) == pytest.approx(expected, rel=1e-4)


def test_lists_take_large_steps_and_counts() -> None:
    pieces: list[list[str]] = [["a"] * 70_000, *[["b"]] * 20_000, ["a"]]

    assert {0, 20_001} == {number for number, _ in scored(pieces, ["a"])}


@given(st.lists(st.text("abß", max_size=6), max_size=40), st.text("abß", min_size=1, max_size=3))
def test_terms_that_contain_a_word_are_found(terms: list[str], word: str) -> None:
    data = pool.encode(terms)
    place = ctypes.addressof(content := ctypes.create_string_buffer(data, len(data)))

    found = loops.containing(place, len(content), len(terms), word.encode(), 50)

    assert [number for number, term in enumerate(terms) if word in term] == found
    assert found[:2] == loops.containing(place, len(content), len(terms), word.encode(), 2)


@pytest.mark.parametrize(
    "damaged",
    ["00", "02 00", "82", "80 80 80 80 80 80 80", "03", "ff ff ff ff 0f", "02 02 02 02", "03 ff"],
)
def test_a_list_that_is_none_is_noticed(damaged: str) -> None:
    data = bytes.fromhex(damaged)
    lengths = (ctypes.c_uint16 * 3)(1, 1, 1)
    scores = Scores(ctypes.addressof(lengths), 3, 1.0)
    content = ctypes.create_string_buffer(data, len(data))

    assert not scores.add(ctypes.addressof(content), len(data), 1.0)
