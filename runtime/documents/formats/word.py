"""Word documents: paragraphs, headings by their styles, lists, tables and notes.

python-docx reads no text that was inserted under review, nor content controls and text boxes, and
takes an archive of any size apart; the format's text needs no more than these names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.documents.dates import date_of_name, iso_date
from runtime.documents.document import Block, Document, made
from runtime.documents.formats.archive import Archive, parse_xml
from runtime.documents.formats.flow import LINE, Flow
from runtime.errors import DocumentError

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main "
STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main "
FALLBACK = "http://schemas.openxmlformats.org/markup-compatibility/2006 Fallback"
PROPERTIES = {
    "http://purl.org/dc/elements/1.1/ title": "title",
    "http://purl.org/dc/terms/ created": "created",
    "http://purl.org/dc/terms/ modified": "modified",
}
BODY, STYLES, CORE = "word/document.xml", "word/styles.xml", "docProps/core.xml"
NOTES = ("word/footnotes.xml", "word/endnotes.xml")
OLE = b"\xd0\xcf\x11\xe0"
"""What older Word files begin with, and encrypted newer ones."""
PAGE_BREAK = "lastRenderedPageBreak"
LEVELS = tuple("012345678")
SKIPPED = {"moveFrom", "del", "rPrChange", "pPrChange", "tblPrChange"}
"""What was there before a change that is still shown for review."""
BREAKS = {"br": LINE, "cr": LINE, "tab": " ", "noBreakHyphen": "-", "ptab": " "}


def read_docx(data: bytes, path: str) -> Document:
    """Read a Word document."""
    if data.startswith(OLE):
        raise DocumentError(
            "it is encrypted, or of an older Word", hint="save it as .docx, without a password"
        )
    archive = Archive(data)
    styles = _styles(archive)
    blocks: list[Block] = []
    for part in (BODY, *(name for name in NOTES if name in archive)):
        xml = archive.read(part)
        text = _Text(styles, paged=part == BODY and PAGE_BREAK.encode() in xml)
        parse_xml(xml, text.start, text.end, text.words)
        blocks.extend(text.blocks())
    properties = _properties(archive)
    date = iso_date(properties.get("created", "") or properties.get("modified", ""))
    return made(
        path, "word", blocks, title=properties.get("title", ""), date=date_of_name(path) or date
    )


def _local(name: str) -> str:
    """Return the name of one of Word's own elements or attributes, empty for others."""
    for space in (WORD, STRICT):
        if name.startswith(space):
            return name[len(space) :]
    return ""


def _value(attributes: dict[str, str], wanted: str = "val") -> str:
    return next((text for name, text in attributes.items() if _local(name) == wanted), "")


def _number(text: str) -> int:
    """Return a level as Word counts it, from 0; -1 for what is none."""
    return int(text) if text in LEVELS else -1


@dataclass
class _Styles:
    """What styles say of their paragraphs, by the styles' identities."""

    levels: dict[str, int] = field(default_factory=dict)
    """Of headings, from 1."""
    lists: set[str] = field(default_factory=set)


def _styles(archive: Archive) -> _Styles:
    found = _Styles()
    if STYLES not in archive:
        return found
    bases: dict[str, str] = {}
    style = ""

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal style
        local, value = _local(name), _value(attributes)
        if local == "style":
            style = _value(attributes, "styleId")
        elif local == "basedOn":
            bases[style] = value
        elif local == "outlineLvl" and _number(value) >= 0:
            found.levels[style] = _number(value) + 1
        elif local == "name" and value.lower() == "title":
            found.levels[style] = 1
        elif local == "name" and value.lower().startswith("heading "):
            found.levels.setdefault(style, _number(value[len("heading ") :]) or 1)
        elif local == "numPr":
            found.lists.add(style)

    parse_xml(archive.read(STYLES), start)
    for derived in bases:
        base = derived
        for _ in LEVELS:  # styles of styles of styles; a circle never ends
            if base in found.levels:
                found.levels[derived] = found.levels[base]
                break
            base = bases.get(base, "")
    return found


def _properties(archive: Archive) -> dict[str, str]:
    found: dict[str, str] = {}
    if CORE not in archive:
        return found
    here = ""

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal here
        here = PROPERTIES.get(name, "")

    def end(_: str) -> None:
        nonlocal here
        here = ""

    def words(text: str) -> None:
        if here:
            found[here] = found.get(here, "") + text

    parse_xml(archive.read(CORE), start, end, words)
    return found


class _Text:
    """What is read of the body, as the parser goes through it."""

    def __init__(self, styles: _Styles, *, paged: bool) -> None:
        self._styles = styles
        self._flow = Flow(paged=paged)
        self._skipped = 0
        """How many elements deep it is in something that is passed over."""
        self._in_run = 0
        self._in_text = False
        self._opened = True
        """Whether the paragraph has begun: what it is stands before its text."""
        self._level = 0
        """Of a heading."""
        self._item = False
        self._depth = 0
        """Of lists in lists."""

    def blocks(self) -> list[Block]:
        """Return what was read."""
        return self._flow.finished()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Begin an element."""
        local = _local(name)
        if self._skipped or local in SKIPPED or name == FALLBACK:
            self._skipped += 1
        elif local == "t":
            self._in_text = True
        elif local == "r":
            self._in_run += 1
            self._open()
        elif local == "p":
            self._flow.here.end_block()
            self._opened, self._level, self._item, self._depth = False, 0, False, 0
        elif local == "tbl":
            self._flow.begin_table()
        elif local == "tr":
            self._flow.begin_row()
        elif local == "tc":
            self._flow.begin_cell(named=False)
        elif local == "tblHeader" or (local == "tblLook" and _value(attributes, "firstRow") == "1"):
            self._flow.name_columns()
        elif local in BREAKS and self._in_run:  # a tab may also be a setting
            self._flow.here.words.append(BREAKS[local])
        elif local == PAGE_BREAK:
            self._flow.turn_page()
        else:
            self._set(local, _value(attributes))

    def end(self, name: str) -> None:
        """End an element."""
        local = _local(name)
        if self._skipped:
            self._skipped -= 1
        elif local == "t":
            self._in_text = False
        elif local == "r":
            self._in_run -= 1
        elif local == "p":
            self._flow.here.end_block()
        elif local == "tbl":
            self._flow.end_table()

    def words(self, text: str) -> None:
        """Take what stands in an element."""
        if self._in_text and not self._skipped:
            self._flow.here.words.append(text)

    def _set(self, local: str, value: str) -> None:
        """Note what a paragraph is."""
        if local == "pStyle":
            self._level = self._styles.levels.get(value, 0)
            self._item = value in self._styles.lists
        elif local == "outlineLvl":
            self._level = _number(value) + 1
        elif local == "numId":
            self._item = value != "0"
        elif local == "ilvl":
            self._depth = max(0, _number(value))

    def _open(self) -> None:
        """Begin the paragraph, once its first text is there."""
        if self._opened:
            return
        self._opened = True
        here = self._flow.here
        depth = self._depth + 1 if self._item and not self._level else 0
        while len(here.lists) > depth:
            here.end_list()
        while len(here.lists) < depth:
            here.begin_list(numbered=False)
        if depth:
            here.begin_item()
        elif self._level:
            here.kind, here.level = "heading", self._level
