"""Signals: SIGINT (Ctrl-C) handled for a while, or deferred; of a parent's end; and a bell."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

INTERRUPTED = 130
"""The exit status that shells report for a program that Ctrl-C has ended."""
AGAIN_SECONDS = 0.02
"""Delay before a KeyboardInterrupt that was lost in a callback is raised again."""
SET_PARENT_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
DOUBLE_SECONDS = 0.5
"""A SIGINT within this time of the last one is taken for its duplicate, sent by the launcher."""


def interrupts_ignored() -> bool:
    """Return whether SIGINT is ignored, as in a shell's background job."""
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@contextmanager
def on_interrupt(action: Callable[[], None]) -> Iterator[None]:
    """Call `action` at Ctrl-C instead of raising KeyboardInterrupt.

    The launcher forwards the signal that the terminal has already sent to the whole process group,
    so it arrives twice, the second time possibly after this context has ended: `action` must
    tolerate being called twice.
    """
    if interrupts_ignored():
        yield
        return
    heard = -math.inf

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        heard = time.monotonic()
        action()

    def double(number: int, frame: FrameType | None) -> None:
        if time.monotonic() > heard + DOUBLE_SECONDS:
            signal.signal(signal.SIGINT, before)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if heard == -math.inf else double)


def raise_on_first_interrupt() -> None:
    """Raise KeyboardInterrupt at the first Ctrl-C only: its duplicate must not hit the clean-up.

    An exception raised in a callback from native code is lost, since it cannot pass through C. So
    the interrupt is raised again shortly afterwards, until it hits the code that called the engine.
    """
    if interrupts_ignored():
        return

    def handle(number: int, frame: FrameType | None) -> None:
        # Not SIG_IGN: Python reports a pending signal whose handler became SIG_IGN.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise KeyboardInterrupt

    def lost(what: sys.UnraisableHookArgs) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(what)
            return
        signal.signal(signal.SIGINT, handle)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)

    sys.unraisablehook = lost
    signal.signal(signal.SIGINT, handle)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C, and its duplicate from the launcher, while the interpreter exits."""
    signal.signal(signal.SIGINT, lambda *_: None)  # a pending signal must not find SIG_IGN
    # On exit Python restores the default of every handler except SIG_IGN.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_with_parent() -> None:
    """Have this process killed when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(SET_PARENT_SIGNAL, signal.SIGKILL)


class Deferral:
    """Whether a Ctrl-C arrived while interrupts were deferred."""

    def __init__(self) -> None:
        self.pending = False
        """Set by the signal handler; callbacks should then make the native code return early."""


@contextmanager
def interrupts_deferred() -> Iterator[Deferral]:
    """Defer Ctrl-C while native code runs that calls Python, and raise it afterwards.

    An exception cannot pass through native code: raised in a callback, it would be lost.
    """
    deferral = Deferral()
    other = threading.current_thread() is not threading.main_thread()  # no signals there
    if other or interrupts_ignored():
        yield deferral
        return

    def note(number: int, frame: FrameType | None) -> None:
        deferral.pending = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield deferral
    finally:
        signal.signal(signal.SIGINT, before)
        if deferral.pending:
            signal.raise_signal(signal.SIGINT)


@dataclass(frozen=True)
class Bell:
    """What can be read, as `select` tells, when a signal has come."""

    fd: int

    def hush(self) -> None:
        """Forget what has come: what it meant is for others to look for."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)


@contextmanager
def bell(told: Callable[[int], None]) -> Iterator[Bell]:
    """Give a bell that SIGCHLD, SIGTERM and Ctrl-C ring.

    `told` is called at once for all but the first, with the signal's number. Ctrl-C stays ignored
    where it is.
    """

    def hear(number: int, _: object) -> None:
        if number != signal.SIGCHLD:
            told(number)

    read, ring = os.pipe()
    for fd in (read, ring):
        os.set_blocking(fd, False)
    before = signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    numbers = [signal.SIGTERM, signal.SIGCHLD]
    if not interrupts_ignored():
        numbers.append(signal.SIGINT)
    handlers = {number: signal.signal(number, hear) for number in numbers}
    try:
        yield Bell(read)
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(ring)
