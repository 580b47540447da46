"""A document: its blocks in their order, what is known about it, and what of it was not read."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from runtime import bounds
from runtime.documents.dates import date_of_heading
from runtime.documents.time_limit import check_time
from runtime.errors import DocumentError

BlockKind = Literal["heading", "paragraph", "code", "table", "list"]
BETWEEN = "\n\n"
"""What stands between two blocks in the text of a document."""
KIND = 60
"""Characters of a kind that a document gives itself."""
HEADING = 300
"""Characters. What is longer is a paragraph in a heading's clothes, and no piece could name it."""

DROPPED = dict.fromkeys({*range(32), *range(0x7F, 0xA0)} - {0x09, 0x0A, 0x85})
COMPOSABLE = re.compile("[^\u0300-\u036f\u3099\u309a][\u0300-\u036f\u3099\u309a]+")
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Block:
    """A part of a document that is of one kind."""

    kind: BlockKind
    text: str
    level: int = 0
    """Of a heading, from 1."""
    page: int = 0
    """From 1; 0 in documents without pages."""
    head: int = 0
    """How many lines at the beginning explain the others: a table's names of columns."""
    date: str = ""
    """As the document's, where a block has a date of its own."""
    filed: str = ""
    """As the document's `kind`, where a block has one of its own."""
    record: int = 0
    """Which record of the file it is from: nothing is common to two of them, no heading either."""


@dataclass(frozen=True)
class Unread:
    """What could not be read, or is left out, and why."""

    path: str
    """In the folder; `FILE#PART` for a part of a file."""
    reason: str
    hint: str = ""
    count: int = 1
    """How many of its kind this stands for."""


@dataclass(frozen=True)
class Document:
    """What was read of one file."""

    path: str
    """In the folder, its parts separated by slashes."""
    kind: str
    """What the document says that it is, its format otherwise: `text`, `mail`, `diary`."""
    title: str
    date: str
    """`2024-05-03`, `2024-05`, `2024`; empty where it is not known."""
    blocks: tuple[Block, ...]
    unread: tuple[Unread, ...] = ()
    """Parts of the file that could not be read."""

    @cached_property
    def text(self) -> str:
        """Return the whole text, in which pieces have their places."""
        return BETWEEN.join(block.text for block in self.blocks)

    @cached_property
    def begins(self) -> tuple[int, ...]:
        """Return where each block begins in the text."""
        places, place = [], 0
        for block in self.blocks:
            places.append(place)
            place += len(block.text) + len(BETWEEN)
        return tuple(places)


def made(
    path: str,
    kind: str,
    blocks: Iterable[Block],
    *,
    title: str = "",
    date: str = "",
    unread: Iterable[Unread] = (),
) -> Document:
    """Return a document of cleaned `blocks`; raise DocumentError if there is no text, or too much.

    Without a title its first heading is one, or the file's name. A heading that begins with a date
    gives it to what stands below it, as in diaries.
    """
    kept: list[Block] = []
    length = 0
    for block in blocks:
        check_time()
        text = cleaned(block.text)
        if not text:
            continue
        length += len(text) + len(BETWEEN)
        if length > bounds.DOCUMENT_TEXT:
            raise too_long()
        check_count(len(kept) + 1)
        if block.kind == "heading":
            text = " ".join(text.split())
            if len(text) > HEADING:
                block = replace(block, kind="paragraph", level=0)
        kept.append(replace(block, text=text, filed=block.filed and in_line(block.filed, KIND)))
    left = tuple(unread)  # known once all blocks are
    if not kept:
        raise DocumentError("it has no text", hint="there is nothing to find in it")
    title = in_line(title, HEADING) or _first_heading(kept)
    stem = posixpath.splitext(posixpath.basename(path))[0]
    return Document(
        path, in_line(kind, KIND) or "text", title or stem, date, tuple(_dated(kept)), left
    )  # fmt: skip


def cleaned(text: str) -> str:
    """Return text without control characters and blank ends, its letters composed.

    Lines end with line feeds. Letters and marks that were typed apart, as some systems do, become
    the letters that people search for; nothing else is normalized.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(DROPPED)
    text = text.replace("\x85", "\n").replace("\u2029", "\n").replace("\u2028", "\n")
    text = text.replace("\ufeff", "")
    if SURROGATE.search(text):  # what JSON can spell and UTF-8 cannot
        text = SURROGATE.sub("\ufffd", text)
    text = COMPOSABLE.sub(lambda found: unicodedata.normalize("NFC", found[0]), text)
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    first = next((index for index, line in enumerate(lines) if line), 0)
    return "\n".join(lines[first:])


def in_line(text: str, most: int) -> str:
    """Return the first characters of cleaned text, in one line."""
    return " ".join(cleaned(text).split())[:most].rstrip()


def too_long() -> DocumentError:
    """Return the error for a document with more text than is read."""
    return DocumentError(
        f"it has more than {bounds.DOCUMENT_TEXT // 10**6} million characters",
        hint="split it into several files",
    )


def check_count(count: int) -> None:
    """Raise DocumentError if a document has more blocks than it may."""
    if count > bounds.DOCUMENT_BLOCKS:
        raise DocumentError(
            f"it has more than {bounds.DOCUMENT_BLOCKS:,} paragraphs",
            hint="split it into several files",
        )


def _first_heading(blocks: list[Block]) -> str:
    """Return the heading that a document begins with, be it after front matter."""
    first = blocks[1:2] if blocks[0].kind == "list" else blocks[:1]
    return "".join(block.text for block in first if block.kind == "heading")


def _dated(blocks: list[Block]) -> Iterable[Block]:
    """Yield the blocks, those below a heading that is a date with that date."""
    date, level = "", 0
    for block in blocks:
        if block.kind == "heading":
            if found := date_of_heading(block.text):
                date, level = found, block.level
            elif block.level <= level:
                date, level = "", 0
        yield replace(block, date=date) if date and not block.date else block
