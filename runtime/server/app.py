"""Routes: which path is answered by which handler."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from runtime.server.endpoints import ALIASES, all_of, dialect_of
from runtime.server.fallback_proxy import FORWARDED, FallbackProxy
from runtime.server.http.api_prefix import Below, Elsewhere
from runtime.server.http.assets import START, Asset
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
from runtime.server.http.http_error import HTTPError
from runtime.server.http.request_body import BodyReader
from runtime.server.service.metrics import Metrics
from runtime.server.service.service import Service

REVALIDATE = b"no-cache"  # the page may be kept, but is asked for each time


def build(service: Service, rules: Rules, files: Mapping[str, Asset]) -> App:
    """Return the ASGI application that answers with the loaded model."""
    routes: list[BaseRoute] = [
        Route(path, Reported(endpoint), methods=[endpoint.method])
        for endpoint in all_of(service, BodyReader(rules.body_max), rules.prefix)
        for path in (endpoint.path, *ALIASES.get(endpoint.path, ()))
    ]
    return _whole(routes, rules, files, service.metrics)


def build_remote(
    proxy: FallbackProxy, rules: Rules, files: Mapping[str, Asset], metrics: Metrics
) -> App:
    """Return the ASGI application that forwards requests to the fallback server."""
    paths = {*FORWARDED, "/completion", "/tokenize", "/detokenize", "/apply-template",
             "/infill", "/v1/rerank", "/rerank", "/v1/responses", "/v1/messages",
             "/v1/search", "/v1/audio/transcriptions"}  # fmt: skip
    routes: list[BaseRoute] = [
        Route(path, Reported(proxy), methods=["POST"]) for path in sorted(paths)
    ]
    for path in ("/health", "/props", "/slots", "/metrics", "/v1/models",
                 "/v1/documents/{number}"):  # fmt: skip
        routes.append(Route(path, Reported(proxy), methods=["GET"]))
    for method in ("GET", "POST"):
        routes.append(Route("/api/{path:path}", Reported(proxy), methods=[method]))
        routes.append(Route("/lora-adapters", Reported(proxy), methods=[method]))
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
    app = Guard(Counted(inner, metrics), rules, dialect_of)
    if not rules.prefix:
        return app
    # It says where the server is to whoever asks, which is no secret.
    elsewhere = Guard(Elsewhere(rules.prefix), rules, dialect_of, public=lambda path: True)
    return Below(app, rules.prefix, elsewhere)


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
        await refuse(send, problem, dialect_of(scope["path"]))


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
        await refuse(send, self._problem, dialect_of(scope["path"]))
