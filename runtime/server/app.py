"""Routes: which path is answered by which handler."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from runtime.server.fallback_proxy import FORWARDED, FallbackProxy
from runtime.server.http import openapi
from runtime.server.http.assets import START, Asset
from runtime.server.http.endpoint import Endpoint, Text
from runtime.server.http.guard import (
    App,
    Guard,
    Message,
    Receive,
    Rules,
    Scope,
    Send,
    refuse,
    respond,
)
from runtime.server.http.http_error import HTTPError, encode
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
from runtime.server.service.metrics import Metrics
from runtime.server.service.service import Service

REVALIDATE = b"no-cache"  # the page may be kept, but is asked for each time


def endpoints(service: Service, reader: BodyReader) -> list[Endpoint]:
    """Return all endpoints of the API."""
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
    found = [
        Endpoint("POST", path, partial(handler, service), summary=summary, request=request,
                 response=response, streams=streams, reader=reader)
        for path, handler, summary, request, response, streams in asking
    ] + [
        Endpoint("GET", path, partial(handler, service), summary=summary, response=response)
        for path, handler, summary, response in looking
    ]  # fmt: skip
    document = openapi.document(found)

    async def description() -> Text:
        return Text(document, "application/json")

    return [
        *found,
        Endpoint("GET", "/openapi.json", description, summary="This description", response=dict),
    ]


ALIASES: Mapping[str, tuple[str, ...]] = {
    "/v1/chat/completions": ("/chat/completions",),
    "/v1/embeddings": ("/embeddings",),
    "/v1/models": ("/models",),
    "/health": ("/v1/health",),
    "/completion": ("/completions",),
}
"""Paths that llama-server knows beside."""


def build(service: Service, rules: Rules, files: Mapping[str, Asset]) -> App:
    """Return the ASGI application that answers with the loaded model."""
    routes: list[BaseRoute] = []
    for endpoint in endpoints(service, BodyReader(rules.body_max)):
        for path in (endpoint.path, *ALIASES.get(endpoint.path, ())):
            routes.append(Route(path, Reported(endpoint), methods=[endpoint.method]))
    routes.append(Route("/v1/models/{name:path}", Reported(Named(service)), methods=["GET"]))
    return _whole(routes, rules, files, service.metrics)


def build_remote(
    proxy: FallbackProxy, rules: Rules, files: Mapping[str, Asset], metrics: Metrics
) -> App:
    """Return the ASGI application that forwards requests to the fallback server."""
    paths = {*FORWARDED, "/completion", "/tokenize", "/detokenize", "/apply-template",
             "/api/completion"}  # fmt: skip
    routes: list[BaseRoute] = [
        Route(path, Reported(proxy), methods=["POST"]) for path in sorted(paths)
    ]
    for path in ("/health", "/props", "/slots", "/metrics", "/v1/models"):
        routes.append(Route(path, Reported(proxy), methods=["GET"]))
    return _whole(routes, rules, files, metrics)


def _whole(
    routes: list[BaseRoute], rules: Rules, files: Mapping[str, Asset], metrics: Metrics
) -> App:
    """Return the application with the page's files, error responses and the guard around it."""
    page = Reported(Page(files))
    routes += [
        Route("/", page, methods=["GET"]),
        Route("/favicon.ico", page, methods=["GET"]),
        Mount("/page", page),
    ]
    handlers: Any = {404: _missing, 405: _wrong_method}
    inner = Starlette(routes=routes, exception_handlers=handlers)
    return Guard(Counted(inner, metrics), rules)


class Named:
    """Endpoint of one model's card: `/v1/models/NAME`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the model's card; raise HTTPError if the model has another name."""
        card = await openai_models.model(self._service, scope["path_params"]["name"])
        await respond(send, 200, encode(card), [])


class Counted:
    """Middleware that counts requests in the metrics."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request and pass it on."""
        self._metrics.add("requests", 1)
        await self._app(scope, receive, send)


class Reported:
    """Middleware that turns exceptions into error responses, and logs the unexpected ones."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; send an error response if it raises."""
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, note)
            return
        except HTTPError as exc:
            problem = exc
        except Exception as exc:
            place = traceback.extract_tb(exc.__traceback__)[-1]
            where = f"{os.path.basename(place.filename)}:{place.lineno}"
            print(f"error: {scope['path']}: {type(exc).__name__} at {where}: {exc}",
                  file=sys.stderr, flush=True)  # fmt: skip
            problem = HTTPError(500, "something unexpected happened; this is a bug")
        if begun:
            raise problem  # too late to say it; the connection is closed
        await refuse(send, problem)


class Page:
    """Endpoint of the page's files."""

    def __init__(self, files: Mapping[str, Asset]) -> None:
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file, or 304 if the client's copy is up to date."""
        path = scope["path"].removeprefix("/page").lstrip("/") or START
        if path == "favicon.ico" and path not in self._files:
            await respond(send, 204, b"", [])
            return
        asset = self._files.get(path)
        if asset is None or scope["method"] not in ("GET", "HEAD"):
            raise HTTPError(404, f"there is no page '{path}'")
        headers = dict(scope["headers"])
        common = [(b"etag", asset.tag.encode()), (b"cache-control", REVALIDATE),
                  (b"vary", b"Accept-Encoding")]  # fmt: skip
        if asset.tag in headers.get(b"if-none-match", b"").decode("latin-1"):
            await respond(send, 304, b"", common)
            return
        data = asset.data
        if asset.packed is not None and b"gzip" in headers.get(b"accept-encoding", b""):
            data = asset.packed
            common.append((b"content-encoding", b"gzip"))
        await respond(send, 200, data, common, asset.type.encode())


async def _missing(request: Any, exc: Exception) -> App:
    return _Refusal(HTTPError(404, f"there is nothing at {request.url.path}"))


async def _wrong_method(request: Any, exc: Any) -> App:
    allowed = (exc.headers or {}).get("Allow", "")
    problem = HTTPError(405, f"{request.method} is not allowed here", headers={"Allow": allowed})
    return _Refusal(problem)


class _Refusal:
    """An error response as JSON."""

    def __init__(self, problem: HTTPError) -> None:
        self._problem = problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(send, self._problem)
