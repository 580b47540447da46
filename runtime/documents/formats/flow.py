"""The flow of marked-up text into blocks: paragraphs, lists, and tables in tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from runtime import bounds
from runtime.documents.document import Block, BlockKind, check_count
from runtime.documents.wide import is_wide

LINE = "\u2028"
"""Stands for a line break that is meant, until white space has been collapsed."""
LEVELS = 8
"""Of lists that are indented."""
_SPACE = re.compile(r"[ \t\r\n\f]+")


@dataclass
class Place:
    """Where blocks go: the document, or a cell of a table."""

    blocks: list[Block] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    """Of the list that is being read."""
    kind: BlockKind = "paragraph"
    """Of the block that is being read."""
    level: int = 0
    page: int = 0
    marker: str = ""
    """Of the item that is being read, until its first line is there."""
    lists: list[int] = field(default_factory=list)
    """The lists that are open: the number of the last item, -1 without numbers."""

    def begin_list(self, *, numbered: bool) -> None:
        """Begin a list, which may be one in another."""
        self.end_block()
        self.lists.append(0 if numbered else -1)

    def begin_item(self) -> None:
        """Begin an item of the list that is open."""
        self.end_block()
        if not self.lists:  # an item without a list
            self.lists.append(-1)
        if self.lists[-1] >= 0:
            self.lists[-1] += 1
        self.marker = f"{self.lists[-1]}. " if self.lists[-1] > 0 else "- "

    def end_list(self) -> None:
        """End the innermost list."""
        self.end_block()
        if self.lists:
            self.lists.pop()
        if not self.lists:
            self.flush_items()

    def end_block(self) -> None:
        """Make a block, or an item's line, of the words since the last one."""
        text = "".join(self.words)
        text = text.strip("\n") if self.kind == "code" else collapsed(text)
        self.words.clear()
        if text.strip():
            if self.lists and self.kind != "code":
                indent = "  " * min(len(self.lists) - 1, LEVELS)
                self.items.append(f"{indent}{self.marker or '  '}{text}")
                self.marker = ""
            else:
                self.flush_items()
                check_count(len(self.blocks) + 1)
                self.blocks.append(Block(self.kind, text, self.level, self.page))
        self.kind, self.level = "paragraph", 0

    def flush_items(self) -> None:
        """Make a block of the items that were read."""
        if self.items:
            self.blocks.append(Block("list", "\n".join(self.items), page=self.page))
            self.items.clear()

    def finished(self) -> list[Block]:
        """Return all blocks."""
        self.end_block()
        self.flush_items()
        return self.blocks


@dataclass
class _Table:
    rows: list[list[list[Block]]] = field(default_factory=list)
    named: bool = True
    """Whether the first row has names of columns only."""
    said: bool = False
    """Whether that was said of it."""
    in_cell: bool = False
    cells: int = 0

    def blocks(self, page: int) -> list[Block]:
        """Return the table as one block, or what it has, where it only places things."""
        rows = [row for row in self.rows if any(row)]
        for_layout = all(len(row) < 2 for row in rows) or any(
            len(cell) > 1 or block.kind in ("table", "heading", "code")
            for row in rows
            for cell in row
            for block in cell
        )
        if for_layout:
            return [block for row in rows for cell in row for block in cell]
        lines = [" | ".join(_line(cell) for cell in row) for row in rows]
        head = int((self.named or self.said) and len(lines) > 1)
        return [Block("table", "\n".join(lines), page=page, head=head)]


def _line(cell: list[Block]) -> str:
    return " ".join(" ".join(block.text.split()) for block in cell)


class Flow:
    """The place that text goes to, and the tables around it. Nothing descends by recursion."""

    def __init__(self, *, paged: bool = False) -> None:
        self._page = int(paged)
        self._places = [Place(page=self._page)]
        self._tables: list[_Table] = []
        self._too_deep = 0
        """Tables in tables that are taken for what they contain."""

    @property
    def here(self) -> Place:
        """Return where text goes now."""
        return self._places[-1]

    def begin_table(self) -> None:
        """Begin a table, in a cell of another or not."""
        if len(self._tables) == bounds.TABLE_NESTING or self._too_deep:
            self._too_deep += 1
            self.here.end_block()
        else:
            self._tables.append(_Table())
            self._begin_place()  # for what stands outside of cells

    def begin_row(self) -> None:
        """Begin a row of the innermost table."""
        if not self._tables or self._too_deep:
            self.here.end_block()
            return
        self._end_place()
        self._tables[-1].rows.append([])
        self._tables[-1].in_cell = False

    def begin_cell(self, *, named: bool) -> None:
        """Begin a cell; `named` says that it names a column."""
        if not self._tables or self._too_deep:
            self.here.end_block()
            return
        self._end_place()
        table = self._tables[-1]
        if not table.rows:
            table.rows.append([])
        table.in_cell = True
        table.named &= len(table.rows) > 1 or named

    def name_columns(self) -> None:
        """Take the first row of the innermost table for names of columns."""
        if self._tables and not self._too_deep and len(self._tables[-1].rows) < 2:
            self._tables[-1].said = True

    def turn_page(self) -> None:
        """Begin a page, in a document that has some."""
        self._page += 1
        for place in self._places:
            place.page = self._page

    def end_table(self) -> None:
        """End the innermost table, if one is open."""
        if self._too_deep:
            self._too_deep -= 1
        elif self._tables:
            self._end_place()
            self._places.pop()
            self.here.end_block()
            self.here.flush_items()
            self.here.blocks.extend(self._tables.pop().blocks(self._page))

    def finished(self) -> list[Block]:
        """Return all blocks, after what is still open was ended."""
        self._too_deep = 0
        while self._tables:
            self.end_table()
        return self.here.finished()

    def _begin_place(self) -> None:
        self._places.append(Place(page=self._page))

    def _end_place(self) -> None:
        """Put what was read since the last cell began into its row, or before the table."""
        table, blocks = self._tables[-1], self._places.pop().finished()
        if table.in_cell:
            table.cells += 1
            check_count(table.cells)
            table.rows[-1].append(blocks)
        elif blocks:  # a caption, or what stands in no cell
            self.here.end_block()
            self.here.flush_items()
            self.here.blocks.extend(blocks)
        self._begin_place()


def collapsed(text: str) -> str:
    """Return text with its white space as browsers show it, and the breaks that are meant.

    The end of a line between two wide characters is nothing: only its author saw it.
    """

    def space(match: re.Match[str]) -> str:
        begin, end = match.span()
        if "\n" in match[0] and begin > 0 and end < len(text):
            return "" if is_wide(text[begin - 1]) and is_wide(text[end]) else " "
        return " "

    text = _SPACE.sub(space, text.replace("\xa0", " ")).strip()
    return text.replace(f" {LINE}", LINE).replace(f"{LINE} ", LINE).replace(LINE, "\n").strip("\n")
