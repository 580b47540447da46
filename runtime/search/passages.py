"""Passages: hits of a ranking as parts of documents that are read.

Hits that follow one another become one passage. What says the same as a better hit is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.search.content import Document, Piece, Ranking
from runtime.search.index import Index
from runtime.search.tokens import tokens

ALIKE = 0.9
"""Share of tokens in common from which on two pieces say the same."""
TELLING = 8
"""Tokens without which two pieces are not compared: short ones are alike by chance."""
JOINED = 1200
"""Characters of a passage that is still joined with the next piece."""


@dataclass(frozen=True)
class Passage:
    """A part of a document that was found."""

    document: Document
    first: Piece
    last: Piece
    text: str
    """Its text, after the head of its first piece."""
    score: float
    """That of its best piece."""

    @property
    def begin(self) -> int:
        """Return where it begins in the document's text, in characters."""
        return self.first.begin

    @property
    def end(self) -> int:
        """Return where it ends there."""
        return self.last.end


def passages(index: Index, hits: Ranking, limit: int, neighbours: int = 0) -> list[Passage]:
    """Return the best `limit` passages that hits make, each with so many `neighbours` around it."""
    spans: list[_Span] = []
    kept: list[tuple[str, frozenset[str]]] = []
    for hit in hits:
        piece = index.piece(hit.piece)
        if joined := next((span for span in spans if span.takes(piece)), None):
            joined.pieces.append(piece)
            continue
        if len(spans) == limit:
            continue  # a later one may still be joined
        found = frozenset(tokens(index.text(piece.number)))
        # What is said again on another day is something else, in a diary.
        if any(date == piece.date and _are_alike(found, other) for date, other in kept):
            continue
        kept.append((piece.date, found))
        spans.append(_Span([piece], hit.score))
    return [_passage(index, span, neighbours) for span in spans]


@dataclass
class _Span:
    """Pieces that follow one another, the best one first."""

    pieces: list[Piece]
    score: float

    def takes(self, piece: Piece) -> bool:
        """Tell whether a piece is one of them, or the next before or behind."""
        first, last = self.ends()
        if piece.document != first.document:
            return False
        if not first.number - 1 <= piece.number <= last.number + 1:
            return False
        return max(piece.end, last.end) - min(piece.begin, first.begin) <= JOINED

    def ends(self) -> tuple[Piece, Piece]:
        """Return the first of them and the last."""
        ordered = sorted(self.pieces, key=lambda piece: piece.number)
        return ordered[0], ordered[-1]


def _are_alike(one: frozenset[str], other: frozenset[str]) -> bool:
    if min(len(one), len(other)) < TELLING:
        return False
    return len(one & other) >= ALIKE * len(one | other)


def _passage(index: Index, span: _Span, neighbours: int) -> Passage:
    first, last = span.ends()
    document = index.document(first.document)
    begin = max(first.number - neighbours, document.pieces.start)
    end = min(last.number + neighbours, document.pieces.stop - 1)
    first, last = index.piece(begin), index.piece(end)
    text = index.text(begin, end)
    head = f"{first.head}\n" if first.head else ""
    return Passage(document, first, last, f"{head}{text}", span.score)
