"""Markdown: front matter, headings, paragraphs, code, lists and tables, each as it was written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from runtime.documents.dates import date_of_name, iso_date
from runtime.documents.document import Block, Document, made
from runtime.documents.formats.front_matter import front_matter
from runtime.documents.formats.plain_text import joined, unwrapped
from runtime.documents.text_encoding import decoded

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t　]+(.*))?$")
_CLOSING = re.compile(r"(?:^|[ \t])#+$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)$")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^`]*)$")
_ITEM = re.compile(r"\s*(?:[-*+・]|\d{1,9}[.)])(?:[ \t　]+|$)")
_QUOTED = re.compile(r" {0,3}>[ \t]?")
_COLUMNS = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?$")
_PICTURE = "](data:"


def read_markdown(data: bytes, path: str) -> Document:
    """Read a Markdown file."""
    lines = decoded(data).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    front = front_matter(lines)
    said = Block("list", front.others)
    blocks = itertools.chain([said], _Reader(lines[front.lines :]).blocks())
    return made(
        path, front.values.get("kind") or "markdown", blocks, title=front.values.get("title", ""),
        date=iso_date(front.values.get("date", "")) or date_of_name(path),
    )  # fmt: skip


class _Reader:
    """Goes through the lines once: what begins a block decides how it ends."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = [line.rstrip() for line in lines]
        self._at = 0
        self._comments_end = True

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line or _RULE.match(line):
                self._at += 1
            elif line.lstrip().startswith("<!--") and self._pass_comment():
                continue
            elif heading := _HEADING.match(line):
                self._at += 1
                yield Block("heading", _CLOSING.sub("", heading[2] or ""), len(heading[1]))
            elif _FENCE.match(line):
                yield self._fenced()
            elif line.startswith(("    ", "\t")) and not _ITEM.match(line):
                yield self._indented()
            elif _ITEM.match(line):
                yield self._listed()
            elif self._begins_table(self._at):
                yield self._table()
            elif _QUOTED.match(line):
                yield from self._quoted()
            else:
                yield self._paragraph()

    def _pass_comment(self) -> bool:
        """Go behind a comment; return whether it has an end."""
        if not self._comments_end:
            return False
        for at in range(self._at, len(self._lines)):
            _, end, after = self._lines[at].partition("-->")
            if end:
                self._at = at
                self._lines[at] = after.strip()
                return True
        self._comments_end = False
        return False

    def _fenced(self) -> Block:
        fence = _FENCE.match(self._lines[self._at])
        assert fence
        mark, inside = fence[1], []
        self._at += 1
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            closing = line.strip()
            if closing.startswith(mark) and not closing.strip(mark[0]):
                break
            inside.append(line)
        return Block("code", "\n".join(inside))

    def _indented(self) -> Block:
        inside: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line and not line.startswith(("    ", "\t")):
                break
            inside.append(line.removeprefix("\t") if line[:1] == "\t" else line[4:])
            self._at += 1
        return Block("code", "\n".join(inside))

    def _listed(self) -> Block:
        """Read a list: up to a line that is neither an item nor belongs to one."""
        items: list[str] = []
        fenced = False
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line:
                following = next(
                    (text for text in self._lines[self._at + 1 : self._at + 3] if text), ""
                )
                if not fenced and not _ITEM.match(following) and not following[:1].isspace():
                    break
            elif not fenced and self._interrupts(line):
                break
            if line.lstrip().startswith(("```", "~~~")):
                fenced = not fenced
                items.append(line)
            elif fenced or not items or _ITEM.match(line):
                items.append(line)
            elif line:
                goes_on = self._lines[self._at - 1] and not items[-1].endswith(("```", "~~~"))
                if goes_on:
                    items[-1] = joined((items[-1], line.lstrip()))
                else:
                    items.append(line)
            self._at += 1
        return Block("list", _without_data("\n".join(items)))

    def _begins_table(self, at: int) -> bool:
        return (
            "|" in self._lines[at]
            and at + 1 < len(self._lines)
            and "-" in self._lines[at + 1]
            and _COLUMNS.match(self._lines[at + 1].lstrip()) is not None
        )

    def _table(self) -> Block:
        begin = self._at
        while self._at < len(self._lines) and "|" in self._lines[self._at]:
            self._at += 1
        self._at = max(self._at, begin + 2)
        return Block("table", "\n".join(self._lines[begin : self._at]), head=2)

    def _quoted(self) -> Iterator[Block]:
        """Yield the blocks of a quotation as if they were not quoted: levels do not matter."""
        inside: list[str] = []
        while self._at < len(self._lines) and _QUOTED.match(self._lines[self._at]):
            inside.append(self._lines[self._at].lstrip(" >\t"))
            self._at += 1
        yield from _Reader(inside).blocks()

    def _paragraph(self) -> Block:
        lines = [self._lines[self._at]]
        self._at += 1
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if underline := _UNDERLINE.match(line):
                self._at += 1
                return Block("heading", " ".join(lines), 1 if underline[1][0] == "=" else 2)
            if not line or self._interrupts(line) or self._begins_table(self._at):
                break
            if _ITEM.match(line) and not line[:1].isdigit():
                break
            lines.append(line)
            self._at += 1
        return Block("paragraph", _without_data(unwrapped(lines)))

    def _interrupts(self, line: str) -> bool:
        return bool(
            _HEADING.match(line) or _FENCE.match(line) or _RULE.match(line) or _QUOTED.match(line)
        )


def _without_data(text: str) -> str:
    """Return text without pictures inside it, which are megabytes that say nothing."""
    if _PICTURE not in text:
        return text
    first, *others = text.split(_PICTURE)
    return first + "".join(f"]{other.partition(')')[2]}" for other in others)
