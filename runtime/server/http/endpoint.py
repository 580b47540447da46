"""Endpoint: decodes a body, calls a typed handler, encodes its answer or its event stream."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from runtime.errors import AppError
from runtime.server.http import form_data
from runtime.server.http.dialect import OPENAI, Dialect
from runtime.server.http.guard import Receive, Scope, Send, respond
from runtime.server.http.http_error import HTTPError, decode, encode, http_error_of
from runtime.server.http.request_body import BodyReader

Handler = Callable[..., Awaitable[Any]]

STREAM_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
FIELDS = 100
"""In a query, which is bounded as all headers are."""
NO_STORE = [(b"cache-control", b"no-store")]


@dataclass(frozen=True)
class Text:
    """A plain-text answer."""

    text: str
    kind: str = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class WithHeaders:
    """An answer of any kind, and headers beside the usual ones."""

    answer: Any
    headers: Mapping[str, str]


class PathName(Struct):
    """The one thing that a path names, by `{name}`."""

    name: str


class Endpoint:
    """An HTTP method and path with the types of its request and response, and its handler."""

    def __init__(
        self,
        method: str,
        path: str,
        handler: Handler,
        *,
        summary: str,
        request: Any = None,
        parameters: Any = None,
        empty: bytes = b"",
        response: Any = None,
        streams: Any = None,
        reader: BodyReader | None = None,
        dialect: Dialect = OPENAI,
        wakes: bool = True,
        form: bool = False,
    ) -> None:
        """`request` and `response` are types; `streams` is that of a stream's events, if any.

        So is `parameters`: a Struct of what is in the path, in braces, and in the query; what
        `{name:path}` stands for may have slashes. `empty` is what a request without a body stands
        for, if that is allowed. `handler` gets request and parameters, if there are any, and
        returns the response, an iterator of lists of events, or Text; or one of these WithHeaders.
        It `wakes` the model, unless it can do without. A `form` comes as forms do, not as JSON.
        """
        self.method = method
        self.path = path
        self.summary = summary
        self.request = request
        self.parameters = parameters
        self.response = response
        self.streams = streams
        self.dialect = dialect
        self._handler = handler
        self._reader = reader or BodyReader()
        self.form = form
        self._decoder = msgspec.json.Decoder(request) if request and not form else None
        self.empty = empty
        self.wakes = wakes
        self.within: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext
        """What is entered while a request is answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; raise HTTPError, or send the error as an event once a stream runs."""
        arguments = []
        if self.form:
            arguments.append(await self._form(scope, receive))
        elif self._decoder:
            arguments.append(await self._reader.read(scope, receive, self._decode))
        if self.parameters:
            arguments.append(self._parameters_of(scope))
        try:
            connected = while_connected(receive) if self.request else contextlib.nullcontext()
            async with connected, self.within():
                await self._answer(arguments, send)
        except AppError as exc:
            raise http_error_of(exc) from exc

    async def _form(self, scope: Scope, receive: Receive) -> Any:
        kind = dict(scope["headers"]).get(b"content-type", b"")
        decoder = partial(form_data.decoded, self.request, kind)
        return await self._reader.read_form(scope, receive, decoder)

    def _decode(self, body: bytes) -> Any:
        assert self._decoder is not None
        return self._decoder.decode(body or self.empty)

    def _parameters_of(self, scope: Scope) -> Any:
        """Return what is in the path and the query; raise HTTPError if it does not fit."""
        query = scope["query_string"].decode("latin-1")
        try:
            fields = dict(parse_qsl(query, max_num_fields=FIELDS))
        except ValueError as exc:
            raise HTTPError(400, f"the query has more than {FIELDS} fields") from exc
        found = {**fields, **scope["path_params"]}
        return decode(lambda _: msgspec.convert(found, self.parameters, strict=False), b"")

    async def _answer(self, arguments: Sequence[Any], send: Send) -> None:
        answer = await self._handler(*arguments)
        more: list[tuple[bytes, bytes]] = []
        if isinstance(answer, WithHeaders):
            more = [(name.lower().encode(), text.encode()) for name, text in answer.headers.items()]
            answer = answer.answer
        if isinstance(answer, AsyncIterator):
            await self._stream(answer, send, more)
        elif isinstance(answer, Text):
            await respond(send, 200, answer.text.encode(), NO_STORE, answer.kind.encode())
        else:
            await respond(send, 200, encode(answer), [*NO_STORE, *more])

    async def _stream(
        self, events: AsyncIterator[list[Any]], send: Send, extra: Sequence[tuple[bytes, bytes]]
    ) -> None:
        """Send items as they come; an error ends the stream as its last item."""
        begun, dialect = False, self.dialect

        async def write(text: bytes, *, more: bool = True) -> None:
            nonlocal begun
            if not begun:
                begun = True
                kind = (b"content-type", dialect.kind.encode())
                headers = [kind, *STREAM_HEADERS, *extra]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": text, "more_body": more})

        async def fail(problem: HTTPError) -> None:
            await write(dialect.event(dialect.failure(problem)))

        try:
            async for items in events:
                await write(b"".join([dialect.event(item) for item in items]))
        except HTTPError as problem:
            if not begun:
                raise
            await fail(problem)
        except AppError as exc:
            await fail(http_error_of(exc))
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            print(f"error: {type(exc).__name__}: {exc}", file=sys.stderr, flush=True)
            await fail(HTTPError(500, "something unexpected happened"))
        finally:
            close = getattr(events, "aclose", None)
            if close:
                await close()
        await write(dialect.end, more=False)


@contextlib.asynccontextmanager
async def while_connected(receive: Receive) -> AsyncIterator[None]:
    """Cancel the body of the `async with` when the client disconnects."""
    task = asyncio.current_task()
    assert task is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    watcher = asyncio.ensure_future(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            raise
    finally:
        watcher.cancel()
