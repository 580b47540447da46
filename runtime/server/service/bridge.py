"""Bridge from the decoding thread to the event loop: one wake-up for all readers with news."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from types import TracebackType

from runtime.inference.token_stream import Piece, TokenStream


class Bridge:
    """Wakes all readers of an event loop that have news, by one call."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._news: deque[Reader] = deque()
        self._called = False

    def tell(self, reader: Reader) -> None:
        """Schedule a wake-up of `reader`; called by the decoding thread."""
        self._news.append(reader)
        if not self._called:
            self._called = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._called = False  # first: what comes from now on calls again
        while self._news:
            self._news.popleft().wake()


class Reader:
    """Reads the token streams of one request; a context manager that cancels what still runs."""

    def __init__(self, bridge: Bridge, streams: Sequence[TokenStream], *, pieces: bool) -> None:
        """With `pieces` it wakes for each new piece, otherwise only when a stream ends."""
        self.streams = tuple(streams)
        self._bridge = bridge
        self._awake = asyncio.Event()
        self._told = False
        for stream in self.streams:
            stream.subscribe(self._tell, pieces=pieces)
        self._awake.set()  # something may have come before anybody listened

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Cancel all streams; each ends within one step."""
        for stream in self.streams:
            stream.cancel()

    async def news(self) -> AsyncIterator[tuple[int, list[Piece]]]:
        """Yield the index of a stream with news, and its new pieces, until all streams have ended.

        The pieces are empty when a stream has ended or reports the progress of its prompt. Raise
        AppError if the engine fails.
        """
        running = dict(enumerate(self.streams))
        while running:
            await self._awake.wait()
            self._awake.clear()
            for index, stream in list(running.items()):
                pieces = stream.take()
                if pieces or stream.ended or stream.progress:
                    yield index, pieces
                if stream.ended:
                    stream.take()  # raises what went wrong behind the last piece
                    del running[index]

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._bridge.tell(self)

    def wake(self) -> None:
        """Wake the reader; called by the event loop."""
        self._told = False
        self._awake.set()
