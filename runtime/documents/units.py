"""Units: what a document is cut between, and not within: sentences, whole tables, lines of code."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from runtime.documents.document import Document
from runtime.documents.sentences import Span, sentences

WINDOW = 256
"""Characters before a cut that tell whether it is inside of one that people see as one."""

_INNER_END = re.compile("[。｡！？!?][」』）】〉》〕］｝”’\"')]*|[.;；](?=\\s)")
_COMMA = re.compile("[、，､]|[,:：—–](?=\\s|[^\x00-\x7f])|\n")
_GAP = re.compile(r"\s+")


@dataclass(frozen=True)
class Unit:
    """A part of the text that is no longer than a piece, if it has not one character only."""

    begin: int
    end: int
    block: int
    whole: bool
    """Whether it is a whole sentence, which the next piece may repeat."""
    head: str = ""
    """What a piece that begins here repeats of the table, so that its columns have names."""


def units_of(document: Document, index: int, most: int) -> list[Unit]:
    """Return the units of a block, each of at most `most` characters."""
    block, begin = document.blocks[index], document.begins[index]
    if block.kind in ("table", "code"):
        if len(block.text) <= most:
            return [Unit(begin, begin + len(block.text), index, False)]
        return list(_lines(document, index, most))
    units: list[Unit] = []
    for one, end in sentences(block.text):
        if end - one <= most:
            units.append(Unit(begin + one, begin + end, index, True))
        else:
            units.extend(
                Unit(begin + inner, begin + stop, index, False)
                for inner, stop in parts(block.text, one, end, most)
            )
    return units


def _lines(document: Document, index: int, most: int) -> Iterator[Unit]:
    """Yield the lines of what is longer than a piece."""
    block, place = document.blocks[index], document.begins[index]
    lines = block.text.split("\n")
    head = "\n".join(lines[: block.head])
    if len(head) > most // 2:  # it would leave no room for what it explains
        head = ""
    for number, line in enumerate(lines):
        repeated = head if number >= block.head else ""
        room = most - len(repeated) - (1 if repeated else 0)
        for one, end in parts(line, len(line) - len(line.lstrip()), len(line), room):
            yield Unit(place + one, place + end, index, False, repeated)
        place += len(line) + 1


def parts(text: str, begin: int, end: int, most: int) -> Iterator[Span]:
    """Yield the parts of a long sentence, none longer than `most`, as even as its commas allow.

    It is cut after a sentence inside of it, after a comma, at a space, and only then
    anywhere; within a character of several code points only if that alone is too long.
    """
    while end - begin > most:
        length = end - begin
        aim = begin + -(-length // -(-length // most))
        stop = _cut(text, begin, begin + most, aim)
        last = len(text[begin:stop].rstrip())
        if last:
            yield begin, begin + last
        gap = _GAP.match(text, stop)
        begin = gap.end() if gap else stop
    if begin < end:
        yield begin, end


def _cut(text: str, begin: int, limit: int, aim: int) -> int:
    """Return the best place to cut in (begin, limit]: near `aim`, and not at the very beginning."""
    lowest = begin + (limit - begin) // 4
    for pattern in (_INNER_END, _COMMA, _GAP):
        places: list[int] = [
            match.end()
            for match in pattern.finditer(text, begin, limit)
            if lowest < match.end() and is_boundary(text, match.end())
        ]
        if places:
            return min(places, key=lambda place: abs(place - aim))
    for place in itertools.chain(range(aim, begin, -1), range(aim + 1, limit + 1)):
        if is_boundary(text, place):
            return place
    return limit


def is_boundary(text: str, place: int) -> bool:
    """Return whether what people see as one character ends before `place`."""
    from wcwidth import grapheme_boundary_before  # most documents are never cut like this

    if not 0 < place < len(text) or (text[place].isascii() and text[place - 1].isascii()):
        return True  # documents have no "\r\n"
    begin = max(0, place - WINDOW)
    return grapheme_boundary_before(text[begin : place + 1], place + 1 - begin) == place - begin
