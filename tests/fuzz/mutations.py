"""Strategies for sound inputs with a few changes: as bytes, as words of a text, as JSON."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

ODD = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff" * 8, b"\x00" * 8, b"\x80" + b"\x00" * 7)
WORD = re.compile(r"\w+|\s+|[^\w\s]")
TIMES = (2, 3, 17, 300)
"""How often a part is repeated or wrapped: a little, or too often."""
TEXT_MAX = 100_000
DEEP: Any = json.loads("[" * 150 + "]" * 150)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 0.5, -0.0, 1e-320, 1e308, 2**31, -(2**31) - 1, 2**63, 2**64,
    10**40, float("nan"), float("inf"), "", "a", "0", " ", "\0", "\ud800", "\x1b]0;a\x07", "é😀",
    "a" * 3000, [], {}, [[]], [None], [0], [""], ["a", 1], {"": ""}, {"a": [{}]}, [0] * 100, DEEP,
)  # fmt: skip
"""What may stand anywhere in a JSON document."""


@st.composite
def _octets(draw: DrawFn, seeds: Sequence[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["bit", "bytes", "odd", "cut", "insert", "copy"]))
        if kind == "bit" and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "bytes":
            new = draw(st.binary(min_size=1, max_size=8))
            data[place : place + len(new)] = new
        elif kind == "odd":
            odd = draw(st.sampled_from(ODD))
            data[place : place + len(odd)] = odd
        elif kind == "cut":
            del data[place : place + draw(st.integers(1, 64))]
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=16))
        else:
            start = draw(st.integers(0, max(len(data) - 1, 0)))
            data[place : place + 16] = data[start : start + 16]
    return bytes(data)


@st.composite
def _words(
    draw: DrawFn, seeds: Sequence[bytes], words: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> bytes:
    def parts_of_one() -> list[str]:
        return WORD.findall(draw(st.sampled_from(seeds)).decode())

    def some(parts: Sequence[str]) -> slice:
        begin = draw(st.integers(0, len(parts)))
        return slice(begin, begin + draw(st.integers(0, 12)))

    parts = parts_of_one()
    for _ in range(draw(st.integers(1, 5))):
        span = some(parts)
        kind = draw(st.sampled_from(["drop", "word", "move", "splice", "repeat", "wrap", "text"]))
        if kind == "drop":
            del parts[span]
        elif kind == "word":
            parts[span] = [draw(st.sampled_from(words))]
        elif kind == "move":
            moved = parts[span]
            del parts[span]
            place = draw(st.integers(0, len(parts)))
            parts[place:place] = moved
        elif kind == "splice":
            other = parts_of_one()
            parts[span] = other[some(other)]
        elif kind == "repeat":
            parts[span] = parts[span] * draw(st.sampled_from(TIMES))
        elif kind == "wrap":
            times = draw(st.sampled_from(TIMES))
            begin, end = draw(st.sampled_from(pairs))
            parts[span] = [begin * times, *parts[span], end * times]
        else:
            parts[span] = [draw(st.text(max_size=4))]
    return "".join(parts)[:TEXT_MAX].encode("utf-8", "replace")


@st.composite
def _documents(
    draw: DrawFn, seeds: Sequence[bytes], fields: Mapping[str, Sequence[Any]], within: str
) -> bytes:
    document: Any = json.loads(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        holder = [document]
        places = [*_places(document[within] if within else holder)]
        if not places:
            break
        inside, key = draw(st.sampled_from(places))
        value = copy.deepcopy(draw(st.sampled_from(VALUES)))
        kind = draw(st.sampled_from(["value", "drop", "field", "field", "copy", "wrap", "repeat"]))
        if kind == "value":
            inside[key] = value
        elif kind == "drop" and inside is not holder:
            del inside[key]
        elif kind == "field":
            inner = [document[within]] if within else []
            found_in = [found for found, _ in places]
            objects = [one for one in (*found_in, *inner) if isinstance(one, dict)]
            if objects and fields:
                name = draw(st.sampled_from(sorted(fields)))
                known = draw(st.sampled_from([*fields[name], value]))
                draw(st.sampled_from(objects))[name] = copy.deepcopy(known)
        elif kind == "copy":
            source, name = draw(st.sampled_from(places))
            inside[key] = copy.deepcopy(source[name])
        elif kind == "wrap":
            for _ in range(draw(st.sampled_from(TIMES))):
                inside[key] = [inside[key]] if isinstance(key, int) else {key: inside[key]}
        elif isinstance(inside, list) and inside is not holder:
            inside[key : key + 1] = [inside[key]] * draw(st.sampled_from(TIMES))
        document = holder[0]
    return json.dumps(document).encode()[:TEXT_MAX]


def _places(holder: Any, depth: int = 40) -> Any:
    """Yield each list or object with each of its keys."""
    keys = range(min(len(holder), 20)) if isinstance(holder, list) else holder
    for key in keys:
        yield holder, key
        if depth and isinstance(holder[key], list | dict):
            yield from _places(holder[key], depth - 1)


def octets(seeds: Sequence[bytes]) -> SearchStrategy[bytes]:
    """Return a strategy for damaged bytes."""
    return _octets(seeds)


def words(
    seeds: Sequence[bytes], *, known: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> SearchStrategy[bytes]:
    """Return a strategy for texts; `known` words come in, `pairs` are put around parts."""
    return _words(seeds, known, pairs)


def documents(
    seeds: Sequence[bytes], *, fields: Mapping[str, Sequence[Any]], within: str = ""
) -> SearchStrategy[bytes]:
    """Return a strategy for JSON documents; `fields` come in, with these values or odd ones.

    What is changed lies `within` the value of that key, if one is given.
    """
    return _documents(seeds, fields, within)
