"""API prefix: all paths of the server below another, as behind a proxy that many servers share."""

from __future__ import annotations

import re

from runtime import bounds
from runtime.errors import UsageError
from runtime.server.http.guard import App, Message, Receive, Scope, Send, respond
from runtime.server.http.http_error import HTTPError

SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
"""What RFC 3986 lets stand in a path as it is."""


def normalised(given: str) -> str:
    """Return the prefix with a slash before it and none behind, empty for none.

    Raise UsageError if it could not stand in a path.
    """
    if len(given) > bounds.API_PREFIX:
        raise UsageError(
            f"the API prefix has {len(given)} characters, at most {bounds.API_PREFIX} are read",
            hint="take a short one, such as --api-prefix /chat",
        )
    segments = [segment for segment in given.split("/") if segment]
    for segment in segments:
        if not SEGMENT.fullmatch(segment) or segment in (".", ".."):
            raise UsageError(
                f"'{segment}' cannot be part of the API prefix",
                hint="letters, digits and - . _ ~ can, as in --api-prefix /models/chat",
            )
    return "".join(f"/{segment}" for segment in segments)


class Below:
    """ASGI middleware that has an application below a prefix, and nothing elsewhere."""

    def __init__(self, app: App, prefix: str, elsewhere: App) -> None:
        """`elsewhere` answers requests for other paths, and for the prefix without a slash."""
        self._app, self._prefix, self._elsewhere = app, prefix, elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, to the one or the other."""
        path = scope.get("path", "")
        if not path.startswith(f"{self._prefix}/"):
            await self._elsewhere(scope, receive, send)
            return

        async def send_below(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [self._below(*header) for header in message["headers"]]
            await send(message)

        inner = {**scope, "path": path[len(self._prefix) :], "full_path": path}
        await self._app(inner, receive, send_below)

    def _below(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        """Return a header; where another path is named in it, that is below the prefix, too."""
        if name != b"location":
            return name, value
        scheme, _, rest = value.partition(b"://")
        host, slash, path = rest.partition(b"/")
        return name, scheme + b"://" + host + self._prefix.encode() + slash + path


class Elsewhere:
    """ASGI application for all paths that are not below the prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lead from the prefix without a slash to that with one; say where the server is."""
        path = scope["path"]
        if path == self._prefix and scope["method"] in ("GET", "HEAD"):
            query = b"?" * bool(scope["query_string"]) + scope["query_string"]
            where = self._prefix.encode() + b"/" + query
            await respond(send, 308, b"", [(b"location", where)])
            return
        raise HTTPError(
            404, f"there is nothing at {path}: this server is below {self._prefix}/ (--api-prefix)"
        )
