"""OpenAI's embeddings: vectors of texts."""

from __future__ import annotations

import array
import asyncio
import base64
from typing import Annotated, Literal

from msgspec import Meta, Struct

from runtime import bounds
from runtime.errors import ModelError
from runtime.server.http.http_error import HTTPError, stopping
from runtime.server.protocols.sampling_fields import Prompt
from runtime.server.service.answer_request import prompt_count
from runtime.server.service.service import Service


class EmbeddingRequest(Struct, kw_only=True):
    """Texts to embed."""

    input: Prompt
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None


class Embedding(Struct, kw_only=True):
    """A vector, as numbers or as base64 of little-endian 32-bit floats."""

    object: str = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Struct):
    """Tokens used by a request for embeddings."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(Struct, kw_only=True):
    """The vectors, in the order of the texts."""

    object: str = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


async def embeddings(service: Service, request: EmbeddingRequest) -> EmbeddingResponse:
    """Return the embeddings of texts."""
    if not service.embedder.possible:
        raise HTTPError(
            501,
            "this model was not made for embeddings; --pooling mean makes some of any model",
        )
    if (count := prompt_count(request.input)) > bounds.PROMPTS:
        raise HTTPError(
            400, f"'input' has {count} texts, at most {bounds.PROMPTS} are taken", param="input"
        )
    prompts = await asyncio.to_thread(service.tokens_of, request.input, param="input")
    data = []
    for index, prompt in enumerate(prompts):
        if service.stopping:
            raise stopping()
        try:  # one after the other: no more is computed once the client is gone
            vector = await asyncio.to_thread(service.embedder.embed, prompt)
        except ModelError as exc:
            raise HTTPError(400, exc.problem, param="input") from exc
        if request.dimensions not in (None, len(vector)):
            raise HTTPError(
                400, f"this model's vectors have {len(vector)} numbers", param="dimensions"
            )
        shown: list[float] | str = vector
        if request.encoding_format == "base64":
            shown = base64.b64encode(array.array("f", vector).tobytes()).decode()
        data.append(Embedding(index=index, embedding=shown))
    tokens = sum(map(len, prompts))
    usage = EmbeddingUsage(tokens, tokens)
    return EmbeddingResponse(data=data, model=service.identity.alias, usage=usage)
