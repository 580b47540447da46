"""Endpoints: which path is answered by which handler, in which dialect."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from runtime.server.http import openapi
from runtime.server.http.dialect import OPENAI, Dialect
from runtime.server.http.endpoint import Endpoint, PathName, Text
from runtime.server.http.request_body import BodyReader
from runtime.server.protocols import (
    llama_go,
    llama_server,
    llama_server_types,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_models,
    openai_types,
)
from runtime.server.protocols.anthropic import routes as anthropic_routes
from runtime.server.protocols.audio import routes as audio_routes
from runtime.server.protocols.documents import routes as documents_routes
from runtime.server.protocols.llamacpp import routes as llamacpp_routes
from runtime.server.protocols.ollama import routes as ollama_routes
from runtime.server.protocols.responses import routes as responses_routes
from runtime.server.service.service import Service

ALIASES: Mapping[str, tuple[str, ...]] = {
    "/v1/chat/completions": ("/chat/completions",),
    "/v1/embeddings": ("/embeddings",),
    "/v1/models": ("/models",),
    "/health": ("/v1/health",),
    "/completion": ("/completions",),
    **audio_routes.ALIASES,
    **llamacpp_routes.ALIASES,
}
"""Paths that llama-server knows beside."""
DIALECTS: Mapping[str, Dialect] = {
    "/api/completion": OPENAI,  # which is an older server's
    **{
        protocol.PREFIX: protocol.DIALECT
        for protocol in (anthropic_routes, ollama_routes, responses_routes)
    },
}
"""By how paths begin; at all others, OpenAI's chat completions are followed."""


def dialect_of(path: str) -> Dialect:
    """Return the dialect that is spoken at a path."""
    return next((one for begin, one in DIALECTS.items() if path.startswith(begin)), OPENAI)


def all_of(service: Service, reader: BodyReader, prefix: str = "") -> list[Endpoint]:
    """Return all endpoints of the API, and the one that describes them.

    They are served below `prefix`.
    """
    found = [
        *_common(service, reader),
        *anthropic_routes.endpoints(service, reader),
        *audio_routes.endpoints(service, reader),
        *documents_routes.endpoints(service, reader),
        *llamacpp_routes.endpoints(service, reader),
        *ollama_routes.endpoints(service, reader),
        *responses_routes.endpoints(service, reader),
    ]
    if service.rest:
        for endpoint in found:
            if endpoint.wakes:
                endpoint.within = service.rest.disturbed
    document = openapi.document(found, prefix)

    async def description() -> Text:
        return Text(document, "application/json")

    return [
        *found,
        Endpoint("GET", "/openapi.json", description, summary="This description", response=dict),
    ]


def _common(service: Service, reader: BodyReader) -> list[Endpoint]:
    """Return the endpoints of OpenAI's older APIs, llama-server's and an older server's."""
    asking: list[tuple[str, Any, str, Any, Any, Any]] = [
        ("/v1/chat/completions", openai_chat.chat, "Answer a conversation",
         openai_types.ChatRequest, openai_types.ChatResponse, openai_types.ChatChunk),
        ("/v1/completions", openai_completions.completion, "Go on with texts",
         openai_types.CompletionRequest,
         openai_types.CompletionResponse, openai_types.CompletionResponse),
        ("/v1/embeddings", openai_embeddings.embeddings, "Turn texts into vectors",
         openai_embeddings.EmbeddingRequest, openai_embeddings.EmbeddingResponse, None),
        ("/completion", llama_server.completion, "Go on with texts, as llama-server does",
         llama_server_types.LlamaServerCompletionRequest,
         llama_server_types.Completion | list[llama_server_types.Completion],
         llama_server_types.Completion),
        ("/tokenize", llama_server.tokenize, "Cut a text into tokens",
         llama_server_types.TokenizeRequest, llama_server_types.Tokens, None),
        ("/detokenize", llama_server.detokenize, "Join tokens",
         llama_server_types.DetokenizeRequest, llama_server_types.Content, None),
        ("/apply-template", llama_server.apply_template,
         "Write a conversation as the model reads it",
         openai_types.ChatRequest, llama_server_types.TemplateResponse, None),
        ("/api/completion", llama_go.completion, "Go on with a text, as an older server did",
         llama_go.LlamaGoRequest, llama_go.LlamaGoResponse, None),
    ]  # fmt: skip
    looking: list[tuple[str, Any, str, Any]] = [
        ("/v1/models", openai_models.models, "The models that there are",
         openai_models.ModelList),
        ("/health", llama_server.health, "Whether the server can answer",
         llama_server_types.Health),
        ("/props", llama_server.props, "What a page needs to know", llama_server_types.Props),
        ("/slots", llama_server.slots, "What the sequences do",
         list[llama_server_types.SlotState]),
        ("/metrics", llama_server.metrics, "What was done, as Prometheus reads it", str),
    ]  # fmt: skip
    return [
        *(
            Endpoint("POST", path, partial(handler, service), summary=summary, request=request,
                     response=response, streams=streams, reader=reader)
            for path, handler, summary, request, response, streams in asking
        ),
        *(
            Endpoint("GET", path, partial(handler, service), summary=summary, response=response,
                     wakes=False)
            for path, handler, summary, response in looking
        ),
        Endpoint("GET", "/v1/models/{name:path}", partial(openai_models.model, service),
                 summary="One model", parameters=PathName, response=openai_models.ModelCard,
                 wakes=False),
    ]  # fmt: skip
