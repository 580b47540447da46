"""Requests and responses about documents: no other API has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from runtime import bounds

if TYPE_CHECKING:  # most programs have no documents
    from runtime.retrieval.sources import Source

Place = Annotated[int, Meta(ge=0, le=bounds.INTEGER)]


class Passage(Struct, kw_only=True):
    """A passage of a document: where it is from, and its text."""

    number: int
    """By which answers cite it, from 1 on."""
    path: str
    title: str
    kind: str
    heading: str
    page: int
    """0 for a document without pages."""
    date: str
    document: int
    """The number of the document, for `/v1/documents`."""
    begin: int
    """In the document's text, in characters."""
    end: int
    text: str
    score: float

    @classmethod
    def of(cls, source: Source) -> Passage:
        """Return a passage as it is found."""
        return cls(**source.fields())


class CitedPassage(Passage, kw_only=True):
    """A passage that an answer was to be made from."""

    cited: bool
    """Whether an answer cites it."""

    @classmethod
    def all_of(cls, sources: Iterable[Source], cited: Iterable[int]) -> list[CitedPassage]:
        """Return the passages by their numbers, and which of them are `cited`."""
        wanted = {*cited}
        return [cls(**one.fields(), cited=one.number in wanted) for one in sources]


class SearchRequest(Struct, kw_only=True):
    """Words to look for, with filters such as `kind:diary after:2024-05` among them."""

    query: str
    limit: Annotated[int, Meta(ge=1, le=bounds.FOUND)] | None = None


class SearchResponse(Struct, kw_only=True):
    """The passages that fit, the best first."""

    object: str = "list"
    query: str
    """What was looked for, without the filters."""
    data: list[Passage]


class DocumentRequest(Struct, kw_only=True):
    """Which document, and which part of its text."""

    number: Place
    begin: Place = 0
    end: Place | None = None


class DocumentResponse(Struct, kw_only=True):
    """A document, or a part of one."""

    object: str = "document"
    number: int
    path: str
    title: str
    kind: str
    date: str
    size: int
    """Characters of the whole text."""
    begin: int
    """Of this part in it."""
    end: int
    text: str
