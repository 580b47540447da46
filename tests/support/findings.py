"""A library that finds what it is told to, and what puts that before a question."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fakes import FakeTokenizer

from runtime.errors import UsageError
from runtime.retrieval.finding.follow_up import Rewrite, Turn
from runtime.retrieval.grounding import Grounder
from runtime.retrieval.library import Finding
from runtime.search.content import Document, Piece
from runtime.search.passages import Passage

SIGN = re.compile(r"<\|\w+\|>|</s>")


def passage(
    text: str, path: str = "a.md", *, title: str = "", heading: str = "", page: int = 0,
    date: str = "", score: float = 0.03,
) -> Passage:  # fmt: skip
    """Return a passage that is a whole document."""
    document = Document(0, path, "text", title, date, range(1))
    piece = Piece(0, 0, "text", date, heading, page, 0, len(text), "")
    return Passage(document, piece, piece, text, score)


@dataclass
class FakeLibrary:
    """Find the same for a question each time; nothing for others."""

    passages: Mapping[str, Sequence[Passage]]
    asked: list[str] = field(default_factory=list)

    def find(
        self,
        question: str,
        limit: int = 5,
        before: Sequence[Turn] = (),
        rewrite: Rewrite | None = None,
    ) -> Finding:
        question = (rewrite and before and rewrite(before, question)) or question
        self.asked.append(question)
        if "after:spring" in question:
            raise UsageError("after:spring has no date")
        return Finding(question, self.passages.get(question, ())[:limit])


class FakeReader(FakeTokenizer):
    """Take every character for a token, and know the signs of turns."""

    def signs(self, text: str) -> list[str]:
        return sorted({*SIGN.findall(text)})


def grounder(found: Mapping[str, Sequence[Passage]], limit: int = 5) -> Grounder:
    """Return what puts these passages before these questions."""
    return Grounder(FakeLibrary(found), FakeReader(), limit)  # type: ignore[arg-type]
