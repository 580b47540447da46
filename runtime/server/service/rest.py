"""Rest: the model is freed while nobody asks it anything, and loaded again for who does.

All is decided on the event loop, and done on other threads: whoever asks for what needs no model
is answered meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Protocol

from runtime.errors import AppError, ModelError
from runtime.server.http.http_error import HTTPError, stopping

RETRY_SECONDS = 5
"""After which to ask again, where the model could not be loaded."""
WIDTH = 2
"""Numbers of a worker in the memory that all share: when it was used, and whether it sleeps."""


class Sleeper(Protocol):
    """What can be freed and loaded again."""

    def sleep(self) -> None: ...
    def wake(self) -> None:
        """Raise AppError if that fails; it sleeps on then."""


class Workers:
    """When each worker process was used, and whether it sleeps, in memory that all share."""

    def __init__(self, count: int = 1, shared: mmap.mmap | None = None, own: int = 0) -> None:
        """`own` is this worker's number, from 0."""
        self._rows = memoryview(shared or self.shared(count)).cast("d")
        self._own = WIDTH * own
        self.note(asleep=False)

    @staticmethod
    def shared(count: int) -> mmap.mmap:
        """Return the memory of so many workers, to be inherited by fork."""
        return mmap.mmap(-1, 8 * WIDTH * count)

    def note(self, *, asleep: bool) -> None:
        """Note that this one is used now, and whether it sleeps."""
        self._rows[self._own] = time.monotonic()  # the same clock in all processes
        self._rows[self._own + 1] = asleep

    def fall_asleep(self) -> None:
        """Note that this one sleeps, which is no use."""
        self._rows[self._own + 1] = True

    @property
    def idle_seconds(self) -> float:
        """Return for how long none of them has been used."""
        return time.monotonic() - max(self._rows[::WIDTH])

    @property
    def all_asleep(self) -> bool:
        """Return whether all of them sleep, so that the next request must wait."""
        return all(self._rows[1::WIDTH])


class Rest:
    """Whether the model is there; all methods are for the event loop."""

    def __init__(
        self,
        sleeper: Sleeper,
        seconds: float,
        workers: Workers,
        woken: Callable[[], None] = lambda: None,
    ) -> None:
        """Free it after so many seconds without a request.

        Call `woken`, on a thread, once it is loaded again.
        """
        self._sleeper, self._seconds, self._workers = sleeper, seconds, workers
        self._woken = woken
        self._users = 0
        self._asleep = False
        self._change: asyncio.Task[None] | None = None
        """Frees it or loads it again."""
        self._stopped: asyncio.Event | None = None

    @property
    def is_sleeping(self) -> bool:
        """Return whether no worker has the model loaded."""
        return self._workers.all_asleep

    @contextlib.asynccontextmanager
    async def disturbed(self) -> AsyncIterator[None]:
        """Have the model there inside the `async with`; load it before, if need be.

        Raise HTTPError if that fails, or the server stops meanwhile.
        """
        self._users += 1
        try:
            while self._asleep or self._change:
                await self._wait_for_change()
            self._workers.note(asleep=False)
            yield
        finally:
            self._users -= 1
            if not self._asleep and not self._change:
                self._workers.note(asleep=False)

    async def _wait_for_change(self) -> None:
        """Wait for what is being done, or if nothing is, load the model."""
        change = self._change
        waking = self._asleep
        if change is None:
            change = self._begin(self._awake())
        stopped = asyncio.ensure_future(self._stop_event.wait())
        try:
            # Whoever leaves before the end must not end it for the others.
            await asyncio.wait([change, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if not change.done():
            raise stopping()
        if waking and (problem := change.exception()):
            raise problem

    def tick(self, busy: bool) -> None:
        """Free the model if it is time; called ten times a second.

        While a thread is `busy` preparing something, the model may be needed by it, even if nobody
        waits for that any more.
        """
        if self._users or busy:
            self._workers.note(asleep=self._asleep)
        resting = self._asleep or self._change or self._users or busy
        if resting or self._stop_event.is_set() or self._workers.idle_seconds < self._seconds:
            return
        self._begin(self._fall_asleep())

    def stop(self) -> None:
        """Let nobody wait any longer."""
        self._stop_event.set()

    @property
    def _stop_event(self) -> asyncio.Event:
        if self._stopped is None:  # it belongs to the loop that runs
            self._stopped = asyncio.Event()
        return self._stopped

    def _begin(self, change: Coroutine[None, None, None]) -> asyncio.Task[None]:
        self._change = asyncio.create_task(change)
        self._change.add_done_callback(_look_at)
        return self._change

    async def _fall_asleep(self) -> None:
        try:
            await asyncio.to_thread(self._sleeper.sleep)
        finally:  # if something of it could not be freed, the rest was
            self._change, self._asleep = None, True
            self._workers.fall_asleep()

    async def _awake(self) -> None:
        try:
            await asyncio.to_thread(self._wake)
            self._asleep = False
        except AppError as exc:
            raise _unavailable(exc) from exc
        finally:
            self._change = None

    def _wake(self) -> None:
        try:
            self._sleeper.wake()
        except AppError:
            raise
        except Exception as exc:  # whoever waits must hear of it, and the next one may be luckier
            raise ModelError(f"{type(exc).__name__}: {exc}") from exc
        self._woken()


def _look_at(change: asyncio.Task[None]) -> None:
    """Print why a change has failed; nobody may be left who waits for it."""
    if not change.cancelled() and (problem := change.exception()):
        print(f"warning: {problem}", file=sys.stderr, flush=True)


def _unavailable(exc: AppError) -> HTTPError:
    hint = f"; {exc.hint}" if exc.hint else ""
    return HTTPError(
        503,
        f"the model cannot be loaded again: {exc.problem}{hint}",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )
