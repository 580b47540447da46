"""Sources: the passages that an answer was made from, by the numbers that it cites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.search.passages import Passage

BETWEEN = " · "
DIGITS = 6  # of a score: what is behind them depends on the processor


@dataclass(frozen=True)
class Source:
    """A passage with its number."""

    number: int
    """From 1 on, the best first."""
    passage: Passage

    @property
    def path(self) -> str:
        """Return the document's name in its folder."""
        return self.passage.document.path

    @property
    def title(self) -> str:
        """Return the document's title, empty if it has none."""
        return self.passage.document.title

    @property
    def heading(self) -> str:
        """Return what the passage stands below, empty if there is nothing."""
        return self.passage.first.heading

    @property
    def page(self) -> int:
        """Return the page that it begins on, 0 for none."""
        return self.passage.first.page

    @property
    def date(self) -> str:
        """Return the day, month or year that it is of; empty if that is not known."""
        return self.passage.first.date or self.passage.document.date

    @property
    def line(self) -> str:
        """Return in a line where it stands, for people."""
        page = f"page {self.page}" if self.page else ""
        where = filter(None, (self.path, self.heading, page, self.date))
        return f"[{self.number}] {BETWEEN.join(where)}"

    def fields(self) -> dict[str, Any]:
        """Return what is known about it, for programs."""
        passage = self.passage
        return {
            "number": self.number, "path": self.path, "title": self.title,
            "kind": passage.first.kind, "heading": self.heading, "page": self.page,
            "date": self.date, "document": passage.document.number, "begin": passage.begin,
            "end": passage.end, "text": passage.text, "score": round(passage.score, DIGITS),
        }  # fmt: skip
