"""Bell: a pipe to wait on for the end of children, and for being told to end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from runtime.host.interrupts import interrupts_ignored


@dataclass(frozen=True)
class Bell:
    """What can be read, as `select` tells, when a signal has come."""

    fd: int

    def hush(self) -> None:
        """Forget what has come: what it meant is for others to look for."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)


@contextmanager
def hung(told: Callable[[int], None]) -> Iterator[Bell]:
    """Give a bell that SIGCHLD, SIGTERM and Ctrl-C ring.

    `told` is called at once for all but the first, with the signal's number. Ctrl-C stays ignored
    where it is.
    """

    def hear(number: int, _: object) -> None:
        if number != signal.SIGCHLD:
            told(number)

    bell, ring = os.pipe()
    for fd in (bell, ring):
        os.set_blocking(fd, False)
    before = signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    numbers = [signal.SIGTERM, signal.SIGCHLD]
    if not interrupts_ignored():
        numbers.append(signal.SIGINT)
    handlers = {number: signal.signal(number, hear) for number in numbers}
    try:
        yield Bell(bell)
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(bell)
        os.close(ring)
