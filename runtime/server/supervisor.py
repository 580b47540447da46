"""Supervisor of worker processes behind one socket: starts, watches, replaces and stops them.

They are forked before the engine starts a thread, and share the socket, the memory of the metrics
and the restored model.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable

from runtime.devices import loss
from runtime.errors import AppError, ModelError
from runtime.host import interrupts, std_streams
from runtime.host.interrupts import Bell

LIVES, WITHIN_SECONDS = 5, 60.0
"""A worker that dies more often than that is not started again."""
LAST_SECONDS = 5.0
"""How long after its grace a worker may take to end before it is killed."""

Work = Callable[[int, int, int, Callable[[], None]], bool]
"""Serves as worker number so and so, which has died so often, until the pipe that is given closes;
calls when it is ready. Returns whether nobody needs the others any more either."""
DONE = 3
"""Exit code of a worker that nobody needs any more."""


class Supervisor:
    """Keeps `count` workers running until it is told to stop."""

    def __init__(
        self,
        work: Work,
        count: int,
        *,
        grace: float,
        started: Callable[[], None],
        patient: bool = False,
    ) -> None:
        """Call `started` once all are ready; on stop they have `grace` seconds to end.

        With `patient`, the first one may be lost once before it is ready: it does otherwise then.
        """
        self._work = work
        self._count = count
        self._grace = grace
        self._started = started
        self._workers: dict[int, int] = {}
        """Their numbers, by process."""
        self._ready: set[int] = set()
        self._died: Counter[int] = Counter()
        """How often each worker has."""
        self._patient = patient
        self._deaths: list[float] = []
        self._stopped_at = 0.0
        self._failed: AppError | None = None

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; raise AppError if the workers cannot start."""
        self._ready_read, self._ready_write = os.pipe()
        os.set_blocking(self._ready_read, False)
        # Its other end is held by this process alone: when that ends, however, the workers see it.
        self._life_read, self._life_write = os.pipe()
        try:
            with interrupts.bell(self._told) as bell:
                for number in range(self._count):
                    self._start(number)
                self._watch(bell)
        finally:
            for fd in (self._ready_read, self._ready_write, self._life_read, self._life_write):
                os.close(fd)
        if self._failed:
            raise self._failed

    def _told(self, number: int) -> None:
        """Stop at the first signal; the launcher may send the same one again."""
        now = time.monotonic()
        if not self._stopped_at:
            if number == signal.SIGINT:
                std_streams.end_line()
            self._stop()
        elif now - self._stopped_at > 1:
            self._signal(signal.SIGTERM)

    def _stop(self) -> None:
        self._stopped_at = time.monotonic()
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for process in list(self._workers):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def _start(self, number: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        # What arrives until the worker has its own handlers waits: the supervisor's would keep it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        process = os.fork()
        if process:
            self._workers[process] = number
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it ends at once while it only loads
            if not interrupts.interrupts_ignored():
                signal.signal(signal.SIGINT, lambda *_: None)  # the supervisor passes it on
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(self._life_write)
            died = self._died[number]
            done = self._work(number, died, self._life_read, lambda: self._tell_ready(number))
            code = DONE if done else 0
        except AppError as exc:
            print(exc.render(), file=sys.stderr)
        except KeyboardInterrupt:
            code = interrupts.INTERRUPTED
        except BaseException as exc:
            print(f"error: worker {number + 1}: {type(exc).__name__}: {exc}", file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _tell_ready(self, number: int) -> None:
        os.write(self._ready_write, bytes([number]))

    def _watch(self, bell: Bell) -> None:
        """Wait for events until no worker is left."""
        while self._workers:
            wait = max(0.1, self._left_seconds) if self._stopped_at else None
            found = select.select([bell.fd, self._ready_read], [], [], wait)[0]
            if bell.fd in found:
                bell.hush()
            if self._ready_read in found:
                complete = len(self._ready) == self._count
                self._ready |= set(os.read(self._ready_read, 4096))
                if len(self._ready) == self._count and not complete:
                    self._started()
            if self._stopped_at and self._left_seconds < 0:
                self._signal(signal.SIGKILL)
            self._reap()

    @property
    def _left_seconds(self) -> float:
        """Return how long workers may take to end, which have been told to."""
        return self._stopped_at + self._grace + LAST_SECONDS - time.monotonic()

    def _reap(self) -> None:
        """Collect ended workers; replace those that crashed."""
        while self._workers:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            number = self._workers.pop(process, None)
            if number is None or self._stopped_at:
                continue
            code = os.waitstatus_to_exitcode(status)
            if code == DONE:
                self._stop()
                continue
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            now = time.monotonic()
            self._deaths = [at for at in self._deaths if now - at < WITHIN_SECONDS] + [now]
            self._died[number] += 1
            lost = code < 0 or code == loss.DEVICE_LOST
            spared = self._patient and number == 0 and lost and self._died[number] == 1
            if (number not in self._ready and not spared) or len(self._deaths) > LIVES:
                self._failed = ModelError(
                    f"worker {number + 1} ended {how}, and would again",
                    hint="what it said before tells why; --workers 1 needs least memory",
                )
                self._stop()
                continue
            print(
                f"warning: worker {number + 1} (process {process}) ended {how}; "
                "another takes its place",
                file=sys.stderr,
                flush=True,
            )
            self._start(number)
