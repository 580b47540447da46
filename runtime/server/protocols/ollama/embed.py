"""Ollama's vectors of texts."""

from __future__ import annotations

import time
from typing import Annotated, Any

from msgspec import Meta, Struct

from runtime import bounds
from runtime.server.protocols.ollama.types import KeepAlive, nanoseconds
from runtime.server.protocols.openai_embeddings import vectors
from runtime.server.protocols.sampling_fields import Name, Prompt
from runtime.server.service.service import Service


class OllamaEmbedRequest(Struct, kw_only=True):
    """Texts to embed."""

    input: str | list[str]
    model: Name = ""
    truncate: bool | None = None
    dimensions: Annotated[int, Meta(ge=1, le=bounds.INTEGER)] | None = None
    options: dict[str, Any] | None = None
    keep_alive: KeepAlive | None = None


class OllamaEmbedResponse(Struct, kw_only=True):
    """The vectors, in the order of the texts."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int = 0
    prompt_eval_count: int


class OllamaEmbeddingsRequest(Struct, kw_only=True):
    """A text to embed, as older clients ask."""

    prompt: str
    model: Name = ""
    options: dict[str, Any] | None = None
    keep_alive: KeepAlive | None = None


class OllamaEmbeddingsResponse(Struct, kw_only=True):
    """Its vector."""

    embedding: list[float]


async def embed(service: Service, request: OllamaEmbedRequest) -> OllamaEmbedResponse:
    """Return the embeddings of texts; those that are too long are cut, unless that is declined."""
    begin = time.perf_counter()
    found: list[list[float]] = []
    tokens = 0
    if request.input:
        given: Prompt = request.input if isinstance(request.input, str) else [*request.input]
        cut = request.truncate is not False
        found, tokens = await vectors(service, given, dimensions=request.dimensions, cut=cut)
    return OllamaEmbedResponse(
        model=request.model or service.identity.alias,
        embeddings=found,
        total_duration=nanoseconds(time.perf_counter() - begin),
        prompt_eval_count=tokens,
    )


async def embeddings(
    service: Service, request: OllamaEmbeddingsRequest
) -> OllamaEmbeddingsResponse:
    """Return the embedding of a text, which is empty for an empty text."""
    if not request.prompt:
        return OllamaEmbeddingsResponse(embedding=[])
    (vector,), _ = await vectors(service, request.prompt, cut=True, param="prompt")
    return OllamaEmbeddingsResponse(embedding=vector)
