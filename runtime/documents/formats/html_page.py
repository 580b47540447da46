"""HTML: headings, paragraphs, lists, code and tables; no scripts, styles and navigation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from runtime.documents.dates import date_of_name, iso_date
from runtime.documents.document import Block, Document, made
from runtime.documents.formats.flow import LINE, Flow, collapsed
from runtime.documents.formats.markup import Tag, tags
from runtime.documents.text_encoding import decoded

SKIPPED = frozenset(
    "script style nav template svg noscript iframe object canvas audio video select textarea "
    "button datalist".split()
)
"""What has no text of the document, or the same text again."""
BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset "
    "figcaption figure footer form header hr html legend main p section summary".split()
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
ENDING = frozenset({*BLOCKS, *HEADINGS, "li", "td", "th", "tr"})
LISTS = ("ul", "ol", "menu")
VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
DATES = frozenset(
    "date dc.date dcterms.date dcterms.created article:published_time datepublished".split()
)

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s{0,9}=\s{0,9}[\"']?([\w.:-]{1,40})", re.I)
_XML = re.compile(rb"<\?xml[^>]{0,100}encoding=[\"']([\w.:-]{1,40})", re.I)


def read_html(data: bytes, path: str) -> Document:
    """Read a page."""
    page = parsed(html_text(data))
    return made(
        path, "html", page.blocks, title=page.title,
        date=iso_date(page.date) or date_of_name(path),
    )  # fmt: skip


def html_text(data: bytes) -> str:
    """Return the text of a page, in the encoding that it declares, if it does."""
    declared = _CHARSET.search(data[:4096]) or _XML.match(data)
    return decoded(data, declared[1].decode("ascii", "replace") if declared else "")


@dataclass(frozen=True)
class Page:
    """What a page has."""

    blocks: list[Block]
    title: str
    date: str


def parsed(text: str) -> Page:
    """Return the blocks of a page, its title and its date."""
    reader = _Reader()
    for tag in tags(text):
        if tag.kind == "start":
            reader.begin(tag)
        elif tag.kind == "end":
            reader.end(tag.name)
        else:
            reader.words(tag.name)
    return reader.page()


class _Reader:
    def __init__(self) -> None:
        self._flow = Flow()
        self._skipped = ""
        """The element that is being passed over."""
        self._depth = 0
        """How many of its kind are open."""
        self._title: list[str] = []
        self._in_title = False
        self._date = ""

    def page(self) -> Page:
        """Return what was read."""
        return Page(self._flow.finished(), collapsed("".join(self._title)), self._date)

    def begin(self, read: Tag) -> None:
        """Begin an element."""
        here, tag = self._flow.here, read.name
        if self._skipped:
            if tag == self._skipped:
                self._depth += 1
            elif self._skipped == "nav" and tag in ("main", "article"):  # nav was never closed
                self._skipped = ""
        elif tag == "meta":
            self._note_date(read.attributes)
        elif tag == "br":
            here.words.append("\n" if here.kind == "code" else LINE)
        elif tag == "title":
            self._in_title = not self._title
        elif tag in SKIPPED or (tag not in VOID and "hidden" in read.attributes):
            self._skipped, self._depth = tag, 1
        elif tag in HEADINGS:
            here.end_block()
            here.kind, here.level = "heading", HEADINGS[tag]
        elif tag == "pre":
            here.end_block()
            here.kind = "code"
        elif tag in LISTS:
            here.begin_list(numbered=tag == "ol")
        elif tag == "li":
            here.begin_item()
        elif tag == "table":
            self._flow.begin_table()
        elif tag == "tr":
            self._flow.begin_row()
        elif tag in ("td", "th"):
            self._flow.begin_cell(named=tag == "th")
        elif tag in BLOCKS and here.kind != "code":
            here.end_block()

    def end(self, tag: str) -> None:
        """End an element."""
        here = self._flow.here
        if self._skipped:
            self._depth -= tag == self._skipped
            if not self._depth:
                self._skipped = ""
        elif tag == "title":
            self._in_title = False
        elif tag in LISTS:
            here.end_list()
        elif tag == "table":
            self._flow.end_table()
        elif tag == "pre" or (here.kind != "code" and tag in ENDING):
            here.end_block()

    def words(self, data: str) -> None:
        """Take text."""
        if self._in_title:
            self._title.append(data)
        elif not self._skipped:
            self._flow.here.words.append(data.replace(LINE, " "))

    def _note_date(self, attributes: dict[str, str]) -> None:
        name = attributes.get("name") or attributes.get("property") or attributes.get("itemprop")
        if not self._date and (name or "").lower() in DATES:
            self._date = attributes.get("content", "")
