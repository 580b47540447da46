"""The paths of Ollama's API, and how errors and streams are written there."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec import Struct

from runtime.server.http.dialect import Dialect
from runtime.server.http.endpoint import Endpoint
from runtime.server.http.http_error import encode
from runtime.server.http.request_body import BodyReader
from runtime.server.protocols.ollama import (
    chat,
    embed,
    generate,
    models,
    types,
)
from runtime.server.service.service import Service

PREFIX = "/api/"


def _line(item: Any) -> bytes:
    return encode(item) + b"\n"


DIALECT = Dialect(
    body=types.error_of,
    error=types.OllamaError,
    kind="application/x-ndjson; charset=utf-8",
    event=_line,
    failure=types.error_of,
    end=b"",
)

ANSWERING = (chat.chat, generate.generate, embed.embed, embed.embeddings)
"""What the model is needed for."""


class BlobPath(Struct):
    """Which part of a model is asked for."""

    digest: str


def endpoints(service: Service, reader: BodyReader) -> list[Endpoint]:
    """Return all of them."""
    status = models.OllamaStatus
    asking: list[tuple[str, str, Any, str, Any, Any, Any]] = [
        ("POST", "/api/chat", chat.chat, "Answer a conversation, as Ollama does",
         types.OllamaChatRequest, types.OllamaChatResponse,
         types.OllamaChatResponse),
        ("POST", "/api/generate", generate.generate, "Answer a question, as Ollama does",
         types.OllamaGenerateRequest, types.OllamaGenerateResponse,
         types.OllamaGenerateResponse),
        ("POST", "/api/embed", embed.embed, "Turn texts into vectors, as Ollama does",
         embed.OllamaEmbedRequest, embed.OllamaEmbedResponse, None),
        ("POST", "/api/embeddings", embed.embeddings,
         "Turn a text into a vector, as Ollama did",
         embed.OllamaEmbeddingsRequest, embed.OllamaEmbeddingsResponse, None),
        ("POST", "/api/show", models.show, "What there is to know of the model",
         models.OllamaNamed, models.OllamaShown, None),
        ("POST", "/api/pull", models.pull, "Whether a model is here",
         models.OllamaNamed, status, status),
        ("POST", "/api/push", models.refuse, "Refused: no models are sent",
         dict, status, None),
        ("POST", "/api/create", models.refuse, "Refused: no models are made",
         dict, status, None),
        ("POST", "/api/copy", models.refuse, "Refused: there is one model",
         dict, status, None),
        ("DELETE", "/api/delete", models.refuse, "Refused: the model stays",
         dict, status, None),
    ]  # fmt: skip
    looking: list[tuple[str, Any, str, Any]] = [
        ("/api/tags", models.tags, "The models that there are, as Ollama lists them",
         models.OllamaTags),
        ("/api/ps", models.running, "The models that are loaded",
         models.OllamaProcesses),
        ("/api/version", models.version, "The version of Ollama's API",
         models.OllamaVersion),
    ]  # fmt: skip
    found = [
        Endpoint(method, path, partial(handler, service), summary=summary, request=request,
                 response=response, streams=streams, reader=reader, dialect=DIALECT,
                 wakes=handler in ANSWERING)
        for method, path, handler, summary, request, response, streams in asking
    ] + [
        Endpoint("GET", path, partial(handler, service), summary=summary, response=response,
                 dialect=DIALECT, wakes=False)
        for path, handler, summary, response in looking
    ]  # fmt: skip
    for method in ("HEAD", "POST"):
        found.append(
            Endpoint(method, "/api/blobs/{digest}", partial(models.refuse_blob, service),
                     summary="Refused: there are no parts of other models",
                     parameters=BlobPath, response=status, dialect=DIALECT, wakes=False)
        )  # fmt: skip
    return found
