"""Access control: host names, origins, API keys, body sizes, and security headers.

Pure ASGI, around the whole application. A browser can reach servers on this machine from any page
that the user visits, so that a request comes from this machine proves nothing:

- a page whose own name resolves to this machine (DNS rebinding) is recognized by the Host header;
- a page that posts across sites is recognized by Origin, or else by Sec-Fetch-Site.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from runtime import bounds
from runtime.server.http.dialect import OPENAI, Dialect
from runtime.server.http.http_error import HTTPError, encode

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"server", b"modelembed"),
]
PUBLIC = ("/", "/health", "/v1/health", "/favicon.ico")
PUBLIC_BELOW = "/page/"
"""What needs no key: the page asks for one, and health is asked by machines that have none."""
METHODS = b"GET, POST, DELETE, OPTIONS"
PORTION = 1 << 18
"""Bytes of a response that are sent at a time: other requests are served between."""
TOO_LONG = HTTPError(
    431,
    f"the request has more than {bounds.HEADERS} headers, or more than {bounds.HEADER_BYTES} bytes "
    "of them",
)


@dataclass(frozen=True)
class Rules:
    """Which requests are allowed."""

    keys: tuple[str, ...] = ()
    """None: everybody may."""
    names: frozenset[str] = frozenset()
    """Names by which this server may be called, beside addresses."""
    loopback: bool = True
    """Only addresses of this machine itself are listened at."""
    origins: frozenset[str] = frozenset()
    """Other sites whose pages may ask; * stands for all."""
    body_max: int = bounds.BODY
    log: bool = False
    prefix: str = ""
    """What all paths are below; empty, or with a slash before it and none behind."""


def own_names(allowed: Iterable[str], *, loopback: bool) -> frozenset[str]:
    """Return the host names of this server, in lower case."""
    names = {"localhost", *(name.lower().rstrip(".") for name in allowed)}
    if not loopback:
        host = socket.gethostname().lower()
        names |= {host, f"{host}.local"}
    return frozenset(names)


class Guard:
    """ASGI middleware that passes to `app` only what the rules allow."""

    def __init__(
        self,
        app: App,
        rules: Rules,
        dialect_of: Callable[[str], Dialect] = lambda path: OPENAI,
        public: Callable[[str], bool] = lambda path: (
            path in PUBLIC or path.startswith(PUBLIC_BELOW)
        ),
    ) -> None:
        """`dialect_of` returns the dialect that is spoken at a path; `public` paths need no key."""
        self._public = public
        self._app = app
        self._rules = rules
        self._dialect_of = dialect_of
        self._keys = [key.encode() for key in rules.keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or send an error response."""
        if scope["type"] != "http":
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        begin = time.perf_counter()
        status = 0
        origin = headers.get(b"origin", b"").decode("latin-1")
        extra = [*HEADERS, *self._cors(origin, headers)]

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        try:
            try:
                self._check(scope, headers, origin)
                if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                    await respond(send_guarded, 204, b"", [])
                else:
                    await self._app(scope, receive, send_guarded)
            except HTTPError as problem:
                if status:
                    raise  # too late to say it
                await refuse(send_guarded, problem, self._dialect_of(scope["path"]))
        finally:
            if self._rules.log:
                self._print(scope, status, time.perf_counter() - begin)

    def _check(self, scope: Scope, headers: dict[bytes, bytes], origin: str) -> None:
        """Raise HTTPError unless the request is allowed."""
        sizes = [len(name) + len(value) for name, value in scope["headers"]]
        line = len(scope["raw_path"]) + len(scope["query_string"])
        if len(sizes) > bounds.HEADERS or line + sum(sizes) > bounds.HEADER_BYTES:
            raise TOO_LONG
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._called_right(host):
            raise HTTPError(
                403,
                f"this server is not called '{host}'; allow the name with --allow-host",
                code="wrong_host",
            )
        # The scheme may differ: a proxy in front of this server may speak HTTPS.
        if origin and not self._allowed(origin) and place(origin) != host:
            raise HTTPError(
                403,
                f"pages of {origin} may not ask this server; allow them with --cors-origin",
                code="wrong_origin",
            )
        site = headers.get(b"sec-fetch-site", b"none")
        strange = site in (b"cross-site", b"same-site")
        if strange and not origin and headers.get(b"sec-fetch-mode") != b"navigate":
            raise HTTPError(
                403, "pages of other sites may not ask this server", code="wrong_origin"
            )
        if scope["method"] == "OPTIONS":
            return  # a browser asks without the key whether it may send it
        path = scope["path"]
        if self._keys and not self._public(path):
            self._authenticate(headers)
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._rules.body_max:
            raise too_large(self._rules.body_max)

    def _called_right(self, host: str) -> bool:
        name = host_name(host)
        if name in self._rules.names or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # An address is never rebound; but to this machine itself, only its own lead.
        return address.is_loopback or not self._rules.loopback

    def _allowed(self, origin: str) -> bool:
        return bool({"*", origin.lower()} & self._rules.origins)

    def _authenticate(self, headers: dict[bytes, bytes]) -> None:
        # Clients of Anthropic's name it otherwise, and may send both.
        given = [headers[b"x-api-key"]] if headers.get(b"x-api-key") else []
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() == b"bearer" and token.strip():
            given.append(token.strip())
        # All are compared, each in the same time whatever it has in common with the right one.
        fits = [hmac.compare_digest(one, key) for one in given for key in self._keys]
        if not any(fits):
            raise HTTPError(
                401,
                "the API key is wrong" if given else "an API key is needed",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _cors(self, origin: str, headers: dict[bytes, bytes]) -> Sequence[tuple[bytes, bytes]]:
        if not origin or not self._allowed(origin):
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-methods", METHODS),
            (
                b"access-control-allow-headers",
                headers.get(b"access-control-request-headers", b"authorization, content-type"),
            ),
            (b"access-control-expose-headers", b"X-Modelembed-Schema, X-Modelembed-Skipped"),
            (b"access-control-max-age", b"600"),
            (b"vary", b"Origin"),
        ]

    def _print(self, scope: Scope, status: int, seconds: float) -> None:
        client = (scope.get("client") or ("-",))[0]
        full = scope.get("full_path", scope["path"])  # see api_prefix
        path = "".join(c if c.isprintable() else "?" for c in full)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        print(
            f"{stamp} {client} {scope['method']} {path} {status or 'left'} {seconds * 1000:.0f} ms",
            file=sys.stderr,
            flush=True,
        )


def host_name(host: str) -> str:
    """Return the name in a Host header, in lower case and without port; empty if it is invalid."""
    try:
        parts = urlsplit(f"//{host}")
        found = parts.hostname if parts.port != 0 and "@" not in host else None
    except ValueError:
        return ""
    return (found or "").rstrip(".")


def place(origin: str) -> str:
    """Return host and port of an Origin header; empty if it is invalid."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def too_large(limit: int) -> HTTPError:
    """Return the error for a body longer than `limit` bytes."""
    return HTTPError(413, f"the request has more than {limit} bytes (--max-body)", code="too_large")


async def refuse(send: Send, problem: HTTPError, dialect: Dialect = OPENAI) -> None:
    """Send an error response."""
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    if problem.status in (401, 403, 408, 413, 431):
        headers.append((b"connection", b"close"))  # what else it sends is not read
    await respond(send, problem.status, encode(dialect.body(problem)), headers)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    kind: bytes = b"application/json",
) -> None:
    """Send a complete response."""
    length = [(b"content-length", str(len(body)).encode())] if status not in (204, 304) else []
    kinds = [(b"content-type", kind)] if body else []
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*kinds, *length, *headers],
        }
    )
    for begin in range(0, len(body) or 1, PORTION):
        more = begin + PORTION < len(body)
        part = body[begin : begin + PORTION]
        await send({"type": "http.response.body", "body": part, "more_body": more})
