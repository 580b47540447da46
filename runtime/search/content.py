"""Content: what goes into an index, and what is found in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class SourceDocument(Protocol):
    """A document to be indexed."""

    @property
    def path(self) -> str:
        """Return its name in the folder, parts separated by slashes."""

    @property
    def kind(self) -> str:
        """Return what it is, such as `diary`."""

    @property
    def title(self) -> str: ...

    @property
    def date(self) -> str:
        """Return `2024-05-03`, `2024-05` or `2024`; empty where it is not known."""

    @property
    def text(self) -> str: ...


class SourcePiece(Protocol):
    """A part of a document, to be found by itself."""

    @property
    def kind(self) -> str: ...

    @property
    def date(self) -> str: ...

    @property
    def heading(self) -> str: ...

    @property
    def page(self) -> int: ...

    @property
    def begin(self) -> int:
        """Return where it begins in the document's text, in characters."""

    @property
    def end(self) -> int: ...

    @property
    def head(self) -> str:
        """Return what stands before it wherever it is shown alone, such as a table's first line."""


class Vector(NamedTuple):
    """A vector as an index keeps it."""

    scale: float
    """What the numbers are multiplied with."""
    numbers: bytes
    """A signed byte for each dimension."""


class VectorWatch(Protocol):
    """Looks at the vectors that an index is made with."""

    def see(self, vector: Sequence[float]) -> None:
        """Take the vector of a piece into account."""

    def facts(self) -> Mapping[str, str]:
        """Return what is to be kept with the index."""


@dataclass(frozen=True)
class Document:
    """A document in an index."""

    number: int
    path: str
    kind: str
    title: str
    date: str
    pieces: range
    """The numbers of its pieces."""


@dataclass(frozen=True)
class Piece:
    """A piece in an index."""

    number: int
    document: int
    kind: str
    date: str
    heading: str
    page: int
    """Where it begins; 0 in documents without pages."""
    begin: int
    """Its place in the document's text, in characters."""
    end: int
    head: str


class Hit(NamedTuple):
    """A piece that was found."""

    piece: int
    score: float


Ranking = Sequence[Hit]
"""Hits, the best first."""
