"""Search and documents over the API: what is asked for, and how much is given at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from findings import FakeLibrary, passage

from runtime import bounds
from runtime.errors import UsageError
from runtime.search.content import Document
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.documents.document_types import (
    DocumentRequest,
    DocumentResponse,
    SearchRequest,
)
from runtime.server.protocols.documents.search import document, search

LONG = "京" * (bounds.DOCUMENT_PART + 10)


@dataclass
class FakeIndex:
    """Documents without pieces."""

    texts: list[str]

    @property
    def head(self) -> SimpleNamespace:
        return SimpleNamespace(documents=len(self.texts))

    def document(self, number: int) -> Document:
        return Document(number, f"{number}.md", "text", "Title", "2024", range(0))

    def document_text(self, number: int) -> str:
        return self.texts[number]


@dataclass
class FakeService:
    """As much of a service as these handlers use."""

    grounder: Any = field(
        default_factory=lambda: SimpleNamespace(
            library=FakeLibrary({"Rain?": [passage("It rained.", page=3), passage("Rain.")]})
        )
    )

    async def prepare(self, make: Callable[[], Any], **_: Any) -> Any:
        return make()


def found(query: str, **more: Any) -> Any:
    request = msgspec.convert({"query": query, **more}, SearchRequest)
    return asyncio.run(search(FakeService(), request))  # type: ignore[arg-type]


def part(texts: list[str], **fields: Any) -> DocumentResponse:
    service = FakeService(SimpleNamespace(library=SimpleNamespace(index=FakeIndex(texts))))
    request = msgspec.convert(fields, DocumentRequest, strict=False)
    answer = asyncio.run(document(service, request))  # type: ignore[arg-type]
    return msgspec.json.decode(answer.text, type=DocumentResponse)


def test_passages_are_found_without_an_answer() -> None:
    answer = found("Rain?")

    assert [(1, "It rained.", 3), (2, "Rain.", 0)] == [
        (one.number, one.text, one.page) for one in answer.data
    ]
    assert 1 == len(found("Rain?", limit=1).data)
    assert [] == found("Hail?").data


def test_no_more_passages_are_given_than_the_bound() -> None:
    assert 2 == len(found("Rain?", limit=bounds.FOUND).data)
    with pytest.raises(msgspec.ValidationError, match="<= 100"):
        found("Rain?", limit=bounds.FOUND + 1)


def test_a_wrong_filter_is_told() -> None:
    with pytest.raises(UsageError, match="no date"):
        found("rain after:spring")


def test_a_part_of_a_document_is_read() -> None:
    answer = part(["It rained.", "京都で雨。"], number="1", begin="2", end="4")

    assert ("1.md", "で雨", 2, 4, 5) == (
        answer.path, answer.text, answer.begin, answer.end, answer.size
    )  # fmt: skip
    assert ("", 10, 10) == (lambda one: (one.text, one.begin, one.end))(
        part(["It rained."], number=0, begin=99, end=3)
    )


def test_a_long_document_is_read_in_parts() -> None:
    first = part([LONG], number=0)
    rest = part([LONG], number=0, begin=first.end)

    assert bounds.DOCUMENT_PART == len(first.text)
    assert LONG == first.text + rest.text


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(
        HTTPError, match="there is no document 1: the last of 1 document is 0"
    ) as caught:
        part(["It rained."], number=1)
    assert 404 == caught.value.status
    with pytest.raises(HTTPError, match="this program has no documents") as caught:
        asyncio.run(search(FakeService(None), SearchRequest(query="x")))  # type: ignore[arg-type]
    assert (404, "no_documents") == (caught.value.status, caught.value.code)
