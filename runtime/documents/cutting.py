"""Cutting: a document as pieces of whole sentences, each with its place and its headings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from runtime.documents.chunking import Chunking
from runtime.documents.document import Document
from runtime.documents.packing import packed
from runtime.documents.units import Unit, units_of

SIGNS = "#*- \u3000\t\n"
"""What says nothing at the ends of a piece: signs of headings and lists, and space."""
LEAST = 10
"""Characters that a piece has at least without them."""
STEP = " > "
"""Between the headings of a path."""


@dataclass(frozen=True)
class Piece:
    """A part of a document that is found by itself."""

    path: str
    kind: str
    title: str
    date: str
    heading: str
    """The headings above it, outermost first: `Trips > Kyoto`."""
    page: int
    """Where it begins; 0 in documents without pages."""
    begin: int
    end: int
    """Its place in the document's text."""
    text: str
    """What stands there, after `head`."""
    head: str = ""
    """The first lines of a table that was cut, where the piece repeats them."""

    @property
    def indexed(self) -> str:
        """Return what it is found by: its headings, and its text."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


@dataclass
class _Section:
    """Blocks below one heading, up to the next; of one date, kind and record."""

    above: str = ""
    """The headings above its own."""
    own: int = -1
    """The block that is its heading; -1 if it has none, or goes on with one."""
    heading: str = ""
    """The headings above its blocks."""
    blocks: list[int] = field(default_factory=list)


def cut(document: Document, chunking: Chunking | None = None) -> list[Piece]:
    """Return the pieces of a document, in their order.

    Left out are the space between them, headings, which the pieces below them have as such, and
    what has fewer than ten characters that say something.
    """
    chunking = chunking or Chunking()
    sections = list(_sections(document))
    pieces: list[Piece] = []
    for section, following in zip(sections, [*sections[1:], None], strict=True):
        pieces.extend(_pieces(document, section, following, chunking))
    return pieces


def _sections(document: Document) -> Iterator[_Section]:
    open_headings: list[tuple[int, str]] = []
    section, record = _Section(), 0
    for index, block in enumerate(document.blocks):
        if block.record != record:
            yield section
            open_headings, section, record = [], _Section(), block.record
        if block.kind == "heading":
            yield section
            while open_headings and open_headings[-1][0] >= block.level:
                open_headings.pop()
            above = STEP.join(text for _, text in open_headings)
            open_headings.append((block.level, block.text))
            section = _Section(above, index, STEP.join(text for _, text in open_headings))
            continue
        if section.blocks:
            before = document.blocks[section.blocks[-1]]
            if (before.date, before.filed) != (block.date, block.filed):
                yield section
                section = _Section(heading=section.heading)
        section.blocks.append(index)
    yield section


def _pieces(
    document: Document, section: _Section, following: _Section | None, chunking: Chunking
) -> Iterator[Piece]:
    most = chunking.max_chars
    units = [unit for index in section.blocks for unit in units_of(document, index, most)]
    heading = section.heading
    if not units and section.own >= 0 and not _is_within(document, section, following):
        units, heading = units_of(document, section.own, most), section.above
    placed = packed(units, chunking)
    for lead, first, stop in placed:
        piece = _piece(document, units, lead, first, stop, heading)
        if len(piece.text.strip(SIGNS)) >= LEAST:
            yield piece
        elif len(placed) == 1 and section.own in range(units[first].block):
            title = Unit(document.begins[section.own], 0, section.own, False)
            if units[-1].end - title.begin <= most:  # "Sugar" alone says nothing, "Cake" above does
                whole = _piece(document, [title, *units], 0, 0, stop + 1, section.above)
                if len(whole.text.strip(SIGNS)) >= LEAST:
                    yield whole


def _is_within(document: Document, section: _Section, following: _Section | None) -> bool:
    """Return whether the next heading is below this one, and thus has it as its own."""
    if following is None or following.own < 0:
        return False
    own, next_one = document.blocks[section.own], document.blocks[following.own]
    return next_one.record == own.record and next_one.level > own.level


def _piece(
    document: Document, units: list[Unit], lead: int, first: int, stop: int, heading: str
) -> Piece:
    begin, end = units[lead].begin, units[stop - 1].end
    block, head = document.blocks[units[first].block], units[lead].head
    text = document.text[begin:end]
    return Piece(
        document.path, block.filed or document.kind, document.title, block.date or document.date,
        heading, block.page, begin, end, f"{head}\n{text}" if head else text, head,
    )  # fmt: skip
