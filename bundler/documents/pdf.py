"""PDF: pages, headings from the outline, paragraphs put together from lines.

PDFium reads the text, by pypdfium2: it knows the encodings of East Asian fonts that are not in the
file, and is fuzzed as a part of Chrome.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from runtime import bounds
from runtime.documents.dates import date_of_name, iso_date
from runtime.documents.document import Block, Document, Unread, made, too_long
from runtime.documents.formats.plain_text import first_columns, joined
from runtime.documents.time_limit import check_time
from runtime.documents.wide import columns, is_wide
from runtime.errors import DocumentError
from runtime.units import counted

ENDS = tuple('.!?:。！？」』）…”"')
"""What the last line of a paragraph ends with, if it is not the last of its page."""
BULLETS = tuple("•‣◦▪–●・■□◆※")
HYPHENS = ("\x02", "\ufffe", "\xad")
"""What PDFium, or the file, writes for a hyphen at the end of a line."""
LEADER = " … "
"""What is left of the dots that lead to a page number."""
SHORT, ROOM, FULL = 0.6, 0.75, 0.85
"""Parts of a full line, as letters have different widths: of one that may be a heading, of one
that ends without a full stop, and of one that ends with one."""
REPEATED = 3
"""Pages from which on a first or last line that they share is a running title."""
NUMBERED = 8
"""Characters that a heading may have on the page, and not in the outline."""

_LEADERS = re.compile(r"(?:\s?\.){4,}\s?")
_NUMBERED = re.compile(r"\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+[^\W\d_]")
"""What headings and items of lists begin with."""


def read_pdf(data: bytes, path: str) -> Document:
    """Read a PDF."""
    found = _extracted(data)
    pages = _without_running_titles([_lines(text) for text in found["pages"]])
    wanted: dict[int, list[tuple[int, str]]] = {}
    for level, text, page in found["outline"]:
        wanted.setdefault(page, []).append((level, " ".join(text.split())))
    blocks = _over_pages(
        block
        for number, lines in enumerate(pages, 1)
        for block in page_blocks(lines, number, wanted.get(number, []))
    )
    without: list[int] = found["without"]
    if not any(block.kind != "heading" for block in blocks):
        raise DocumentError(
            f"it has no text: {counted(len(pages), 'page')} of pictures"
            if without
            else "it has no text",
            hint="if it was scanned, have its text recognized first, by ocrmypdf for example",
        )
    unread = [
        Unread(
            f"{path}#page {without[0]}",
            f"{counted(len(without), 'page')} without text, as scanned ones are; this is the first",
            "have its text recognized first, by ocrmypdf for example",
            len(without),
        )
        for _ in without[:1]
    ]
    date = found["date"].removeprefix("D:")[:8]
    return made(
        path, "pdf", blocks, title=found["title"], date=date_of_name(path) or iso_date(date),
        unread=unread,
    )  # fmt: skip


def _extracted(data: bytes) -> dict[str, Any]:
    """Return what the program beside this one says of a PDF."""
    if importlib.util.find_spec("pypdfium2") is None:
        raise DocumentError(
            "PDFs are read by pypdfium2, which is not installed",
            hint="pip install 'pypdfium2<6'",
        )
    limits = (int(bounds.DOCUMENT_SECONDS), bounds.PDF_BYTES, bounds.DOCUMENT_TEXT)
    done = subprocess.run(
        [sys.executable, "-m", "bundler.documents.pdf_text", *map(str, limits)],
        input=data, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise DocumentError(
            f"it takes longer than {bounds.DOCUMENT_SECONDS:g} seconds to read, or too much memory",
            hint="save it anew, by printing it into a PDF",
        )
    if done.returncode:
        raise DocumentError(
            "PDFium fails at it: it is damaged, or takes too much memory",
            hint="save it anew, by printing it into a PDF",
        )
    found: dict[str, Any] = json.loads(done.stdout)
    if found.get("error") == "password":
        raise DocumentError("it is encrypted", hint="save it without a password")
    if found.get("error") == "long":
        raise too_long()
    if "error" in found:
        raise DocumentError("it is damaged, or no PDF", hint="copy it again")
    return found


def _lines(text: str) -> list[str]:
    lines = text.replace("\r", "").split("\n")
    return [_LEADERS.sub(LEADER, line).strip() for line in lines]


def _without_running_titles(pages: list[list[str]]) -> list[list[str]]:
    """Return the lines of all pages, less what the first and last lines of most repeat."""
    filled = [[line for line in page if line] for page in pages]
    edges = Counter(
        shape for page in filled for shape in {_shape(line) for line in (*page[:1], *page[-1:])}
    )
    running = {shape for shape, count in edges.items() if count >= max(REPEATED, len(pages) // 2)}
    seen: set[str] = set()
    kept: list[list[str]] = []
    for page in pages:
        for at in (0, -1):
            while page and not page[at]:
                page = page[1:] if at == 0 else page[:-1]
            shape = _shape(page[at]) if page else ""
            if shape in running and (shape in seen or shape == "0"):
                page = page[1:] if at == 0 else page[:-1]
            seen.add(shape)
        kept.append(page)
    return kept


def _shape(line: str) -> str:
    """Return a line with its numbers alike, as those of pages."""
    return "".join("0" if char.isdigit() else char for char in line).replace("00", "0")


def page_blocks(lines: list[str], page: int, outline: Iterable[tuple[int, str]]) -> Iterator[Block]:
    """Yield the blocks of a page: what the outline names is a heading where it stands."""
    places: dict[int, tuple[int, str]] = {}
    for level, text in outline:
        check_time()
        fitting = (at for at, line in enumerate(lines) if at not in places and _names(line, text))
        at = next(fitting, -1)
        if at >= 0:
            places[at] = (level, lines[at])
        else:  # it is written in another way there, or in two lines
            yield Block("heading", text, level, page)
    group: list[str] = []
    width = _width(lines)
    for at, line in enumerate(lines):
        if at in places or not line or line.startswith(BULLETS) or _is_apart(line, width):
            yield from _paragraph(group, page)
            group = []
        if at in places:
            level, text = places[at]
            yield Block("heading", text, level, page)
        elif line:
            group.append(line)
            following = lines[at + 1] if at + 1 < len(lines) else ""
            if _is_apart(line, width) or _ends_paragraph(line, following, width):
                yield from _paragraph(group, page)
                group = []
    yield from _paragraph(group, page)


def _width(lines: list[str]) -> int:
    """Return how wide full lines are: those of words that were cut are two, put together."""
    widths = sorted(map(columns, filter(None, lines)))
    return widths[len(widths) * 3 // 4] if widths else 0


def _is_apart(line: str, width: int) -> bool:
    """Return whether a line is a paragraph of its own: a numbered heading, a line of contents."""
    return LEADER in line or (_NUMBERED.match(line) is not None and columns(line) < SHORT * width)


def _ends_paragraph(line: str, following: str, width: int) -> bool:
    """Return whether a paragraph ends with a line: it had room for what the next begins with."""
    if line.endswith(HYPHENS) or not following:
        return False
    if line.endswith(ENDS):
        return columns(line) < FULL * width
    return columns(line) + first_columns(following) < ROOM * width


def _over_pages(blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks, with paragraphs whole that go on on the next page."""
    done: list[Block] = []
    whole = False
    for block in blocks:
        before = done[-1] if done else block
        goes_on = (
            not whole  # a table without an end would grow for ever
            and before.kind == block.kind == "paragraph"
            and before.page + 1 == block.page
            and not before.text.endswith(ENDS)
            and (block.text[0].islower() or is_wide(block.text[0]))
        )
        whole = goes_on
        if goes_on:
            done[-1] = replace(before, text=joined_lines([before.text, block.text]))
        else:
            done.append(block)
    return done


def _names(line: str, title: str) -> bool:
    line, title = ("".join(text.split()).casefold() for text in (line, title))
    return bool(title) and line.endswith(title) and len(line) <= len(title) + NUMBERED


def _paragraph(lines: list[str], page: int) -> Iterator[Block]:
    if lines:
        yield Block("paragraph", joined_lines(lines), page=page)


def joined_lines(lines: list[str]) -> str:
    """Return lines as one, with words that were cut put together again."""
    whole: list[str] = []
    for line in lines:
        if whole and whole[-1].endswith(HYPHENS):
            whole[-1] = whole[-1][:-1] + line
        else:
            whole.append(line)
    return joined(whole)
