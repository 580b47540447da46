"""HTTP connection: uvicorn's, with timeouts for slow clients.

uvicorn itself waits for ever for the rest of a request, and for a client that does not read.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from runtime import bounds
from runtime.server.http.guard import TOO_LONG
from runtime.server.http.http_error import HTTPError, encode

MALFORMED = HTTPError(400, "this is not HTTP that can be read")


class Connection(H11Protocol):
    """One client's connection."""

    patience = bounds.SEND_SECONDS
    """Seconds for sending a whole request in, and for taking what waits to be sent."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first request."""
        super().connection_made(transport)
        if len(self.connections) > bounds.CONNECTIONS:
            transport.abort()
            return
        self._deadline = self.loop.call_later(self.patience, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timeouts."""
        self._forget_deadline()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in data; start the timeout if a request is incomplete."""
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            if self._deadline is None and not self._refusing():
                self._deadline = self.loop.call_later(self.patience, self._too_slow)
        else:
            self._forget_deadline()

    def _refusing(self) -> bool:
        """Return whether the response is complete, so that the rest of the request is not read."""
        return self.cycle is not None and self.cycle.response_complete and not self.cycle.more_body

    def pause_writing(self) -> None:
        """Start the timeout of a client that does not read."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.patience, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop it: the client reads again."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Send the error for what is not HTTP, as JSON like all other errors."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # What is being answered was malformed further on: it has this answer and no other.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        failure = sys.exc_info()[1]  # of h11: uvicorn calls this while it handles that
        too_long = getattr(failure, "error_status_hint", 400) == TOO_LONG.status
        problem = TOO_LONG if too_long else MALFORMED
        body = encode(problem.body())
        reason = HTTPStatus(problem.status).phrase.encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        for event in (
            h11.Response(status_code=problem.status, headers=headers, reason=reason),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()
