"""Endpoint: decodes a JSON body, calls a typed handler, encodes its answer or its event stream."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.errors import AppError
from runtime.server.http.guard import Receive, Scope, Send, respond
from runtime.server.http.http_error import HTTPError, encode, http_error_of
from runtime.server.http.request_body import BodyReader

Handler = Callable[..., Awaitable[Any]]

STREAM_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
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
        response: Any = None,
        streams: Any = None,
        reader: BodyReader | None = None,
    ) -> None:
        """`request` and `response` are types; `streams` is that of a stream's events, if any.

        `handler` gets the request, if there is one, and returns the response, an iterator of lists
        of events, or Text; or one of these WithHeaders.
        """
        self.method = method
        self.path = path
        self.summary = summary
        self.request = request
        self.response = response
        self.streams = streams
        self._handler = handler
        self._reader = reader or BodyReader()
        self._decoder = msgspec.json.Decoder(request) if request else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; raise HTTPError, or send the error as an event once a stream runs."""
        arguments = []
        if self._decoder:
            arguments.append(await self._reader.read(scope, receive, self._decoder.decode))
        try:
            async with while_connected(receive) if arguments else contextlib.nullcontext():
                await self._answer(arguments, send)
        except AppError as exc:
            raise http_error_of(exc) from exc

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
        """Send server-sent events as they come; an error ends the stream as its last event."""
        begun = False

        async def write(text: bytes, *, more: bool = True) -> None:
            nonlocal begun
            if not begun:
                begun = True
                kind = (b"content-type", b"text/event-stream; charset=utf-8")
                headers = [kind, *STREAM_HEADERS, *extra]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": text, "more_body": more})

        try:
            async for items in events:
                await write(b"".join([b"data: %b\n\n" % encode(item) for item in items]))
        except HTTPError as problem:
            if not begun:
                raise
            await write(b"data: %b\n\n" % encode(problem.body()))
        except AppError as exc:
            await write(b"data: %b\n\n" % encode(http_error_of(exc).body()))
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            print(f"error: {type(exc).__name__}: {exc}", file=sys.stderr, flush=True)
            unknown = HTTPError(500, "something unexpected happened")
            await write(b"data: %b\n\n" % encode(unknown.body()))
        finally:
            close = getattr(events, "aclose", None)
            if close:
                await close()
        await write(b"data: [DONE]\n\n", more=False)


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
