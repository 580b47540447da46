"""Token stream: one answer on its way from the decoding thread to its reader."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.errors import AppError
from runtime.inference.stats import Stats

POLL_SECONDS = 0.1
"""Timeout of one wait: bounds the delay of Ctrl-C where waiting cannot be interrupted."""


@dataclass(frozen=True)
class Logprob:
    """A token and the natural logarithm of its probability."""

    token: int
    logprob: float


@dataclass(frozen=True)
class SampledToken(Logprob):
    """A token of the answer, with the most probable tokens at its position."""

    alternatives: tuple[Logprob, ...] = ()


@dataclass(frozen=True)
class Piece:
    """A piece of an answer's text, and the tokens that it consists of."""

    text: str
    tokens: tuple[int, ...] = ()
    chosen: tuple[SampledToken, ...] = ()
    """Log probabilities of `tokens`, if requested."""


@dataclass(frozen=True)
class PrefillProgress:
    """How much of the prompt has been decoded."""

    total: int
    """Tokens of the prompt."""
    cached: int
    """Tokens of the prompt that were in the KV cache."""
    processed: int
    """Tokens of the prompt in the KV cache by now, cached ones included."""
    seconds: float
    """Since decoding of the prompt began."""


class Answer(Protocol):
    """An answer as it is generated; to be iterated once, by one thread."""

    @property
    def stats(self) -> Stats:
        """Return the statistics so far."""

    def __iter__(self) -> Iterator[Piece]:
        """Yield the pieces as they are generated; leaving the loop cancels the rest.

        Raise ModelError if the engine fails; the pieces yielded before are valid.
        """

    def cancel(self) -> None:
        """End the answer within one decode step; safe from any thread or signal handler."""


class TokenSink:
    """The producer's end of a token stream, used by the decoding thread."""

    def __init__(self) -> None:
        self.stats = Stats()
        # A plain attribute: a signal handler would deadlock on a lock, such as an Event's, that
        # the interrupted code holds.
        self.cancelled = False
        self.abort_flag: Any = None
        """The context's abort flag, to be set on cancelling; None unless only this answer is
        decoded."""
        self.progress: PrefillProgress | None = None
        """None before the first part of the prompt is decoded, or if it is decoded in one step."""
        self.on_piece: Callable[[], None] | None = None
        """Called by the decoding thread for each piece and each progress report."""
        self.on_end: Callable[[], None] | None = None
        """Called by the decoding thread at the end."""
        self._pieces: queue.SimpleQueue[Piece | AppError | None] = queue.SimpleQueue()

    def put(self, piece: Piece) -> None:
        """Queue a piece; never blocks."""
        self._pieces.put(piece)
        if self.on_piece:
            self.on_piece()

    def report_progress(self, progress: PrefillProgress) -> None:
        """Publish the progress of the prompt; replaces the previous report."""
        self.progress = progress
        if self.on_piece:
            self.on_piece()

    def end(self, error: AppError | None = None) -> None:
        """Queue the end of the answer, with the error if it failed."""
        self._pieces.put(error)
        if self.on_end:
            self.on_end()

    def get(self) -> Piece | None:
        """Wait for the next piece; return None at the end, raise the error if the answer failed."""
        while True:
            try:
                item = self._pieces.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, AppError):
                raise item
            return item

    def drain(self) -> Iterator[Piece | AppError | None]:
        """Yield the queued items without waiting; None or an error marks the end."""
        while True:
            try:
                yield self._pieces.get_nowait()
            except queue.Empty:
                return


class TokenStream:
    """The reader's end of a token stream; implements Answer. Its deletion cancels the answer."""

    def __init__(self, sink: TokenSink) -> None:
        self._sink = sink
        self._ended = False
        self._error: AppError | None = None

    @property
    def stats(self) -> Stats:
        """Return the statistics so far."""
        return self._sink.stats

    def __iter__(self) -> Iterator[Piece]:
        """Yield the pieces; see Answer."""
        try:
            while not self._ended:
                piece = self._sink.get()
                if piece is None:
                    self._ended = True
                else:
                    yield piece
        except AppError:
            self._ended = True
            raise
        finally:
            self.cancel()

    @property
    def progress(self) -> PrefillProgress | None:
        """Return how much of the prompt has been decoded, None if it is decoded in one step."""
        return self._sink.progress

    @property
    def ended(self) -> bool:
        """Return whether all pieces have been read."""
        return self._ended

    def subscribe(self, tell: Callable[[], None], *, pieces: bool) -> None:
        """Let the decoding thread call `tell` at the end; with `pieces`, also at every piece.

        For readers that cannot block: they call `take` after each notification, and once at the
        start.
        """
        self._sink.on_end = tell
        self._sink.on_piece = tell if pieces else None

    def take(self) -> list[Piece]:
        """Return the queued pieces without waiting; after the last one, raise the error if any."""
        if self._error:
            raise self._error
        taken: list[Piece] = []
        for item in self._sink.drain():
            if isinstance(item, Piece):
                taken.append(item)
                continue
            self._ended, self._error = True, item
            if item and not taken:
                raise item
        return taken

    def cancel(self) -> None:
        """End the answer within one decode step; safe from any thread or signal handler."""
        self._sink.cancelled = True
        byte = self._sink.abort_flag
        if byte is not None:
            byte.value = True

    def __del__(self) -> None:
        self.cancel()
