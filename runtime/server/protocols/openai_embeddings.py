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

CHARACTERS = 16
"""Of a text for each token that there is room for, if what is more is cut: most have fewer."""


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
    found, tokens = await vectors(service, request.input, dimensions=request.dimensions)
    base = request.encoding_format == "base64"
    data = [
        Embedding(index=index, embedding=_packed(vector) if base else vector)
        for index, vector in enumerate(found)
    ]
    usage = EmbeddingUsage(tokens, tokens)
    return EmbeddingResponse(data=data, model=service.identity.alias, usage=usage)


async def vectors(
    service: Service,
    given: Prompt,
    *,
    dimensions: int | None = None,
    cut: bool = False,
    param: str = "input",
) -> tuple[list[list[float]], int]:
    """Return the embeddings of texts, and how many tokens these have.

    With `dimensions`, of each its first numbers, at length 1 again. Texts that are too long are
    `cut`, or refused: raise HTTPError, which names the field, for these and what else is wrong.
    """
    embedder = service.embedder
    if not embedder.possible:
        raise HTTPError(
            501,
            "this model was not made for embeddings; --pooling mean makes some of any model",
        )
    if (count := prompt_count(given)) > bounds.PROMPTS:
        raise HTTPError(
            400, f"'{param}' has {count} texts, at most {bounds.PROMPTS} are taken", param=param
        )
    if dimensions is not None and dimensions > embedder.size:
        raise HTTPError(
            400, f"this model's vectors have {embedder.size} numbers", param="dimensions"
        )
    if cut and isinstance(given, str):
        given = given[: CHARACTERS * embedder.room]
    elif cut:
        given = [one[: CHARACTERS * embedder.room] for one in given if isinstance(one, str)]
    prompts = await asyncio.to_thread(service.tokens_of, given, param=param)
    if cut:
        prompts = [embedder.cut(prompt) for prompt in prompts]
    found = []
    for prompt in prompts:
        if service.stopping:
            raise stopping()
        try:  # one after the other: no more is computed once the client is gone
            found.append(await asyncio.to_thread(embedder.embed, prompt, dimensions))
        except ModelError as exc:
            raise HTTPError(400, exc.problem, param=param) from exc
    return found, sum(map(len, prompts))


def _packed(vector: list[float]) -> str:
    return base64.b64encode(array.array("f", vector).tobytes()).decode()
