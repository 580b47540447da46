"""Bodies of requests: JSON or forms, of bounded size, large ones read one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from runtime import bounds
from runtime.sanitize import plain
from runtime.server.http import json_size
from runtime.server.http.guard import Receive, Scope, too_large
from runtime.server.http.http_error import HTTPError, decode, stopping

Decoded = TypeVar("Decoded")


class BodyReader:
    """Reads the bodies of all requests to a server."""

    def __init__(self, body_max: int = bounds.BODY) -> None:
        """`body_max` is in bytes."""
        self._body_max = body_max
        self._turn = asyncio.Lock()

    async def read(
        self, scope: Scope, receive: Receive, decoder: Callable[[bytes], Decoded]
    ) -> Decoded:
        """Return the request's body, decoded by a msgspec decoder.

        Raise HTTPError if it is compressed, too large, no JSON or does not fit; also if the server
        ends meanwhile, which cancels whoever is still here.
        """
        _require_plain(scope)
        try:
            body = await self._received(receive)
            if len(body) <= json_size.FEW:
                return decode(decoder, body)
            # Nothing else runs while a body is decoded, tens of milliseconds for the largest. What
            # other requests have waited meanwhile has its turn while the next one is counted.
            async with self._turn:
                await asyncio.to_thread(json_size.require_few_values, body)
                return decode(decoder, body)
        except asyncio.CancelledError:
            raise stopping() from None

    async def read_form(
        self, scope: Scope, receive: Receive, decoder: Callable[[bytes], Decoded]
    ) -> Decoded:
        """Return the request's body, a form with files, as `decoder` takes it apart.

        Raise HTTPError as `read` does.
        """
        _require_plain(scope)
        try:
            body = await self._received(receive)
            async with self._turn:
                return await asyncio.to_thread(decoder, body)
        except asyncio.CancelledError:
            raise stopping() from None

    async def _received(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise asyncio.CancelledError
            part = message.get("body", b"")
            size += len(part)
            if size > self._body_max:
                raise too_large(self._body_max)
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)


def _require_plain(scope: Scope) -> None:
    """Raise HTTPError if the body of a request is compressed."""
    coding = dict(scope["headers"]).get(b"content-encoding", b"identity").decode("latin-1")
    if coding.strip().lower() != "identity":
        raise HTTPError(
            415, f"'content-encoding: {plain(coding)[:40]}' is not read here; send it as it is"
        )
