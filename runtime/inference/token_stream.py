"""One answer on its way from the engine's thread to whoever asked."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.errors import AppError
from runtime.inference.stats import Stats

POLL_SECONDS = 0.1
"""How long a wait may be deaf: where waiting cannot be interrupted, Ctrl-C is heard this late."""


@dataclass(frozen=True)
class Likelihood:
    """A token and the logarithm of the probability that the model gave it."""

    token: int
    logprob: float


@dataclass(frozen=True)
class Chosen(Likelihood):
    """A token of the answer, with the likeliest that might have stood in its place."""

    alternatives: tuple[Likelihood, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Some text of an answer, and the tokens that it is made of."""

    text: str
    tokens: tuple[int, ...] = ()
    chosen: tuple[Chosen, ...] = ()
    """What is known of each of `tokens`, if that was asked for."""


@dataclass(frozen=True)
class Reading:
    """How far the prompt has been read."""

    total: int
    """Tokens of the prompt."""
    cached: int
    """How many of them were there already."""
    processed: int
    """How many are there by now, those included."""
    seconds: float
    """Since the work on the prompt began."""


class Answer(Protocol):
    """What the engine gives back for a prompt: to be read once, by one thread."""

    @property
    def stats(self) -> Stats:
        """Return the costs so far."""

    def __iter__(self) -> Iterator[Piece]:
        """Yield the answer's pieces as they come; leaving the loop cancels the rest.

        Raise ModelError when the engine fails; what came before is good.
        """

    def cancel(self) -> None:
        """End the answer within one step; safe from any thread or signal handler."""


class Feed:
    """The engine's end: pieces go in here, and a request to stop comes out."""

    def __init__(self) -> None:
        self.stats = Stats()
        # Plain attributes: a lock, such as an Event's, held by the code that a signal
        # interrupts would make the handler wait for ever.
        self.cancelled = False
        self.alone: Any = None
        """A byte to set on cancelling; there only while this answer alone is being computed."""
        self.reading: Reading | None = None
        """None until a first part of the prompt was read, if it was read in parts."""
        self.on_piece: Callable[[], None] | None = None
        """Called by the engine's thread whenever there is something new but the end."""
        self.on_end: Callable[[], None] | None = None
        """Called by the engine's thread at the end."""
        self._pieces: queue.SimpleQueue[Piece | AppError | None] = queue.SimpleQueue()

    def put(self, piece: Piece) -> None:
        """Hand over a piece; never waits."""
        self._pieces.put(piece)
        if self.on_piece:
            self.on_piece()

    def read(self, reading: Reading) -> None:
        """Say how far the prompt has been read; only the last word counts."""
        self.reading = reading
        if self.on_piece:
            self.on_piece()

    def end(self, error: AppError | None = None) -> None:
        """Say that this was all, or what went wrong."""
        self._pieces.put(error)
        if self.on_end:
            self.on_end()

    def get(self) -> Piece | None:
        """Wait for the next piece; return None at the end, raise what went wrong."""
        while True:
            try:
                item = self._pieces.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, AppError):
                raise item
            return item

    def waiting(self) -> Iterator[Piece | AppError | None]:
        """Yield what is there now, without waiting: None is the end, an error as well."""
        while True:
            try:
                yield self._pieces.get_nowait()
            except queue.Empty:
                return


class TokenStream:
    """The reader's end; see Answer. Forgetting it cancels."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._ended = False
        self._error: AppError | None = None

    @property
    def stats(self) -> Stats:
        """Return the costs so far."""
        return self._feed.stats

    def __iter__(self) -> Iterator[Piece]:
        """Yield the pieces; see Answer."""
        try:
            while not self._ended:
                piece = self._feed.get()
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
    def reading(self) -> Reading | None:
        """Return how far the prompt has been read, if it is read in parts."""
        return self._feed.reading

    @property
    def ended(self) -> bool:
        """Tell whether all pieces were taken."""
        return self._ended

    def subscribe(self, tell: Callable[[], None], *, pieces: bool) -> None:
        """Let the engine's thread call `tell` at the end, and with `pieces` at everything new.

        For readers that cannot wait: they `take` afterwards, and once at once.
        """
        self._feed.on_end = tell
        self._feed.on_piece = tell if pieces else None

    def take(self) -> list[Piece]:
        """Return the pieces that there are, without waiting; raise what went wrong, after them."""
        if self._error:
            raise self._error
        taken: list[Piece] = []
        for item in self._feed.waiting():
            if isinstance(item, Piece):
                taken.append(item)
                continue
            self._ended, self._error = True, item
            if item and not taken:
                raise item
        return taken

    def cancel(self) -> None:
        """End the answer within one step; safe from any thread or signal handler."""
        self._feed.cancelled = True
        byte = self._feed.alone
        if byte is not None:
            byte.value = True

    def __del__(self) -> None:
        self.cancel()
