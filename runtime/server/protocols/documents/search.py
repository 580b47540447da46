"""A search in the documents without an answer, and the text around what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime import bounds
from runtime.server.http.endpoint import Text
from runtime.server.http.http_error import HTTPError, encode
from runtime.server.protocols.documents.document_types import (
    DocumentRequest,
    DocumentResponse,
    Passage,
    SearchRequest,
    SearchResponse,
)
from runtime.server.service.service import Service
from runtime.units import counted

if TYPE_CHECKING:  # most programs have no documents
    from runtime.retrieval.library import Library

JSON = "application/json"
FEW = 5
"""Passages, unless a request asks for more or fewer."""


async def search(service: Service, request: SearchRequest) -> SearchResponse:
    """Return the passages that fit the words of a request."""
    library = _library(service)

    def look() -> SearchResponse:
        from runtime.retrieval.sources import Source

        found = library.find(request.query, request.limit or FEW)
        sources = (Source(*one) for one in enumerate(found.passages, 1))
        return SearchResponse(query=found.question, data=[*map(Passage.of, sources)])

    return await service.prepare(look, characters=0, slow=True)


async def document(service: Service, request: DocumentRequest) -> Text:
    """Return a part of a document's text."""
    index = _library(service).index
    if request.number >= index.head.documents:
        raise HTTPError(
            404,
            f"there is no document {request.number}: the last of "
            f"{counted(index.head.documents, 'document')} is {index.head.documents - 1}",
        )

    def read() -> Text:
        known, text = index.document(request.number), index.document_text(request.number)
        begin = min(request.begin, len(text))
        end = min(begin + bounds.DOCUMENT_PART, len(text))
        if request.end is not None:
            end = max(begin, min(end, request.end))
        found = DocumentResponse(
            number=known.number, path=known.path, title=known.title, kind=known.kind,
            date=known.date, size=len(text), begin=begin, end=end, text=text[begin:end],
        )  # fmt: skip
        return Text(encode(found).decode(), JSON)

    return await service.prepare(read, characters=0, slow=True)


def _library(service: Service) -> Library:
    if service.grounder is None:
        raise HTTPError(
            404,
            "this program has no documents; start it with --docs FOLDER, or put them in: "
            "modelembed bundle MODEL --docs FOLDER",
            code="no_documents",
        )
    return service.grounder.library
