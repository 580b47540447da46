"""Plain text: paragraphs between blank lines, pages between form feeds, wrapped lines joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runtime.documents.dates import date_of_name
from runtime.documents.document import Block, Document, made
from runtime.documents.text_encoding import decoded
from runtime.documents.wide import columns, is_wide

WRAPPED = range(40, 161)
"""Columns that lines are wrapped at."""
LONG, EVEN = 60, 0.8
"""Lines are wrapped that have at least the first columns, and this part of the longest."""


def read_text(data: bytes, path: str) -> Document:
    """Read a file of plain text."""
    text = decoded(data)
    return made(path, "text", paragraphs(text, pages="\f" in text), date=date_of_name(path))


def paragraphs(text: str, *, pages: bool = False) -> Iterator[Block]:
    """Yield the paragraphs of `text`; with `pages`, form feeds are their ends."""
    for number, page in enumerate(text.split("\f"), 1):
        for lines in grouped(page.splitlines()):
            yield Block("paragraph", unwrapped(lines), page=number if pages else 0)


def grouped(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines between blank lines."""
    group: list[str] = []
    for line in lines:
        if line.strip():
            group.append(line)
        elif group:
            yield group
            group = []
    if group:
        yield group


def unwrapped(lines: list[str]) -> str:
    """Return the lines of a paragraph as one, if it was wrapped; else with their ends kept.

    It was if no line had room for the beginning of the next, or if all are about as long: those of
    verses and addresses are not.
    """
    lines = [line.strip() for line in lines]
    widths = [columns(line) for line in lines]
    longest = max(widths)
    if len(lines) == 1 or longest not in WRAPPED or (len(lines) == 2 and widths[0] < LONG):
        return "\n".join(lines)
    even = longest >= LONG and min(widths[:-1]) >= EVEN * longest
    for line, width, following in zip(lines, widths, lines[1:], strict=False):
        if not even and width + first_columns(following) + _space(line, following) <= longest:
            return "\n".join(lines)
    return joined(lines)


def joined(lines: Iterable[str]) -> str:
    """Return lines as one: with spaces between, except where both sides have wide characters."""
    parts: list[str] = []
    for line in lines:
        if not line:
            continue
        if parts and _space(parts[-1], line):
            parts.append(" ")
        parts.append(line)
    return "".join(parts)


def first_columns(line: str) -> int:
    """Return the columns that the line before would have needed for what `line` begins with."""
    if is_wide(line[0]):
        return 4  # what must not begin a line takes another along
    word = line.split(maxsplit=1)[0]
    return columns(word)


def _space(before: str, after: str) -> int:
    return int(not (is_wide(before[-1]) and is_wide(after[0])))
