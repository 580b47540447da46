"""Reranking of texts by a query, in the forms of Jina and of text-embeddings-inference."""

from __future__ import annotations

import asyncio
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from runtime import bounds
from runtime.errors import ModelError
from runtime.server.http.http_error import HTTPError, stopping
from runtime.server.protocols.sampling_fields import Name
from runtime.server.service.service import Service


class Document(Struct):
    """A text."""

    text: str


Texts = Annotated[list[str | Document], Meta(min_length=1)]


class RerankRequest(Struct, kw_only=True):
    """A query, and texts that may answer it: `documents`, or `texts` for the second form."""

    query: str
    documents: Texts | None = None
    texts: Texts | None = None
    top_n: Annotated[int, Meta(ge=1, le=bounds.INTEGER)] | None = None
    return_documents: bool | None = None
    return_text: bool | None = None
    model: Name | None = None


class RankedDocument(Struct, kw_only=True):
    """A text's number, and how well it answers: the more the better."""

    index: int
    relevance_score: float
    document: Document | UnsetType = UNSET


class RankedText(Struct, kw_only=True):
    """The same in the second form."""

    index: int
    score: float
    text: str | UnsetType = UNSET


class RerankUsage(Struct):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class RerankResponse(Struct, kw_only=True):
    """The texts, those that answer best first."""

    model: str
    object: str = "list"
    usage: RerankUsage
    results: list[RankedDocument]


async def rerank(service: Service, request: RerankRequest) -> RerankResponse | list[RankedText]:
    """Sort texts by how well they answer a query."""
    if not service.reranker.possible:
        raise HTTPError(501, "this model was not made for reranking: it says nothing about texts")
    given = request.documents or request.texts
    if given is None:
        raise HTTPError(400, "'documents' is missing", param="documents")
    if len(given) > bounds.PROMPTS:
        raise HTTPError(
            400,
            f"'documents' has {len(given)} texts, at most {bounds.PROMPTS} are taken",
            param="documents",
        )
    texts = [one if isinstance(one, str) else one.text for one in given]
    scores, count = await _scores(service, request.query, texts)
    order = sorted(range(len(texts)), key=lambda index: -scores[index])[: request.top_n]
    if request.texts is not None:
        return [
            RankedText(
                index=index,
                score=scores[index],
                text=texts[index] if request.return_text else UNSET,
            )
            for index in order
        ]
    results = [
        RankedDocument(
            index=index,
            relevance_score=scores[index],
            document=Document(texts[index]) if request.return_documents else UNSET,
        )
        for index in order
    ]
    return RerankResponse(
        model=request.model or service.identity.alias,
        usage=RerankUsage(count, count),
        results=results,
    )


async def _scores(service: Service, query: str, texts: list[str]) -> tuple[list[float], int]:
    """Return the scores of texts, and how many tokens were read."""
    reranker, scores, count = service.reranker, [], 0

    def score(text: str) -> tuple[float, int]:
        service.tokenizer.require_room(text)
        tokens = reranker.tokens(query, text)
        return reranker.score(tokens), len(tokens)

    await asyncio.to_thread(service.tokenizer.require_room, query)
    for number, text in enumerate(texts):
        if service.stopping:
            raise stopping()
        try:  # one after the other: no more is computed once the client is gone
            found, size = await asyncio.to_thread(score, text)
        except ModelError as exc:
            raise HTTPError(400, exc.problem, param=f"documents[{number}]") from exc
        scores.append(found)
        count += size
    return scores, count
