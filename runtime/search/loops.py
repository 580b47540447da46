"""The compiled loops of a search (search.c), with types; all release the interpreter's lock."""

from __future__ import annotations

import ctypes
import functools
import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from runtime.errors import ModelError
from runtime.host.library_paths import REINSTALL, SEARCH, load_own
from runtime.search.content import Hit, Vector

POINTER, SIZE, FLOAT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_float
LOWEST = 128  # the largest number of a row, as a magnitude
HIGHEST = (1 << 31) - 1  # of the sums of products
FINEST = 8191  # a question's numbers: finer than what rows are rounded to by 64 times


class Bits:
    """A bit for each piece: whether it may be found. All may at first."""

    def __init__(self, count: int) -> None:
        """Take `count` pieces."""
        self._memory = (ctypes.c_uint8 * (-(-count // 8) or 1))()
        ctypes.memset(self._memory, 0xFF, len(self._memory))
        self.address = ctypes.addressof(self._memory)

    @classmethod
    def every(cls, step: int, count: int) -> Bits:
        """Let one in `step` of `count` pieces be found."""
        bits = cls(count)
        ctypes.memset(bits.address, 0, len(bits._memory))
        for number in range(0, count, step):
            bits._memory[number >> 3] |= 1 << (number & 7)
        return bits

    def select(self, rows: int, count: int, width: int, field: int, wanted: bytes) -> None:
        """Forbid those of the `rows` whose field has a value without a 1 in `wanted`."""
        function = _function("search_select", POINTER, POINTER, *[SIZE] * 3, ctypes.c_char_p, SIZE)
        function(self.address, rows, count, width, field, wanted, len(wanted))


class Scores:
    """What pieces are worth to a question: 0 at first."""

    def __init__(self, lengths: int, pieces: int, average: float) -> None:
        """Take the address of the pieces' lengths in tokens, and their average."""
        self._memory = (FLOAT * max(pieces, 1))()
        self._address = ctypes.addressof(self._memory)
        self._lengths, self._pieces, self._average = lengths, pieces, average

    def add(self, address: int, size: int, weight: float) -> bool:
        """Add a term, whose list lies at `address`; return whether the list is sound."""
        function = _function(
            "search_score", POINTER, SIZE, POINTER, SIZE, POINTER, FLOAT, FLOAT, gives=ctypes.c_int
        )
        done = function(
            self._address, self._pieces, address, size, self._lengths, self._average, weight
        )
        return bool(done == 0)

    def best(self, most: int, bits: Bits | None) -> list[Hit]:
        """Return the best pieces that have any score, and may be found."""
        function = _function(
            "search_best", POINTER, SIZE, POINTER, SIZE, *[POINTER] * 2, gives=SIZE
        )
        return _hits(
            most,
            lambda *out: function(self._address, self._pieces, _address(bits), most, *out),
        )


def containing(pool: int, size: int, terms: int, word: bytes, most: int) -> list[int]:
    """Return the numbers of the first `most` terms that contain `word`.

    `pool` is the address of the list of `terms`, which takes `size` bytes.
    """
    function = _function(
        "search_containing", POINTER, SIZE, POINTER, SIZE, ctypes.c_char_p, SIZE, SIZE, POINTER,
        gives=SIZE,
    )  # fmt: skip
    numbers, ends, content = (ctypes.c_uint32 * most)(), pool + 4, 4 * (terms + 1)
    count = function(pool + content, size - content, ends, terms, word, len(word), most, numbers)
    return numbers[:count]


def row(vector: Sequence[float], width: int) -> Vector:
    """Return a vector as an index of rows of `width` bytes keeps it."""
    return Vector(*_rounded("search_row", vector, width, 127, ctypes.c_int8))


def question(vector: Sequence[float], width: int) -> tuple[float, bytes]:
    """Return a vector that rows of `width` bytes are compared with: a scale, and its numbers."""
    limit = min(FINEST, HIGHEST // (LOWEST * width))
    return _rounded("search_question", vector, width, limit, ctypes.c_int16)


def nearest(
    rows: int,
    scales: int,
    pieces: int,
    width: int,
    vector: Sequence[float],
    most: int,
    bits: Bits | None,
) -> list[Hit]:
    """Return the pieces whose vectors point the most like `vector`, with the angles' cosines."""
    scale, numbers = question(vector, width)
    if not scale:
        return []
    function = _function(
        "search_nearest", POINTER, POINTER, SIZE, SIZE, ctypes.c_char_p, FLOAT, POINTER, SIZE,
        *[POINTER] * 2, gives=SIZE,
    )  # fmt: skip
    return _hits(
        most,
        lambda *out: function(
            rows, scales, pieces, width, numbers, scale, _address(bits), most, *out
        ),
    )


def _rounded(
    name: str, vector: Sequence[float], width: int, limit: int, number: Any
) -> tuple[float, bytes]:
    """Return a vector of length 1 as a scale and whole numbers, with zeros up to `width`."""
    count = len(vector)
    floats, scratch, numbers = array("f", vector), (ctypes.c_int32 * count)(), (number * width)()
    squares = ctypes.c_double()
    limits = [FLOAT] if name == "search_question" else []
    function = _function(name, POINTER, SIZE, *limits, *[POINTER] * 3, gives=FLOAT)
    largest = function(
        floats.buffer_info()[0], count, *[limit] * len(limits), scratch, numbers,
        ctypes.byref(squares),
    )  # fmt: skip
    scale = largest / math.sqrt(squares.value) / limit if largest else 0.0
    return scale, bytes(numbers)


def _hits(most: int, find: Callable[[Any, Any], int]) -> list[Hit]:
    """Return what `find` finds, the best first."""
    numbers, scores = (ctypes.c_uint32 * max(most, 1))(), (FLOAT * max(most, 1))()
    count = find(numbers, scores)
    hits = [Hit(numbers[i], scores[i]) for i in range(count)]
    return sorted(hits, key=lambda hit: (-hit.score, hit.piece))


def _address(bits: Bits | None) -> int | None:
    return bits.address if bits else None


@functools.cache
def _library() -> ctypes.CDLL:
    return load_own(SEARCH)


@functools.cache
def _function(name: str, *arguments: Any, gives: Any = None) -> Callable[..., Any]:
    """Return a function of search.c that takes arguments of these types."""
    try:
        function: Any = _library()[name]
    except AttributeError as exc:
        raise ModelError(f"{SEARCH} is of another version: {exc}", hint=REINSTALL) from exc
    function.argtypes = arguments
    function.restype = gives
    return function  # type: ignore[no-any-return]
