"""SIGINT (Ctrl-C): handlers for a while, and deferral while native code runs."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""The exit status that shells report for a program that Ctrl-C has ended."""
AGAIN_SECONDS = 0.02
"""Until a Ctrl-C that was lost is raised again."""
DOUBLE_SECONDS = 0.5
"""For which a Ctrl-C is taken for the double of the last one."""


def interrupts_ignored() -> bool:
    """Tell whether Ctrl-C is not for this program, as in a shell's background job."""
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@contextmanager
def on_interrupt(action: Callable[[], None]) -> Iterator[None]:
    """Call `action` at Ctrl-C instead of ending the program.

    The launcher forwards the signal that the terminal has already sent, so it arrives twice, the
    second time perhaps when this is over already; `action` must not mind.
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


def interrupt_once() -> None:
    """Raise KeyboardInterrupt at the first Ctrl-C only: its double must not hit the clean-up.

    Code that the engine calls back cannot end the program: what is raised there gets lost in C.
    So it is raised again a moment later, until it hits what called the engine.
    """
    if interrupts_ignored():
        return

    def handle(number: int, frame: FrameType | None) -> None:
        # Not SIG_IGN: Python complains about a signal that it noted before it was ignored.
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
    """Let Ctrl-C, and its double that the launcher forwards, not disturb the last moments."""
    signal.signal(signal.SIGINT, lambda *_: None)  # so that none is noted when it is ignored
    # Python's end gives every handler back but this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Deferral:
    """Whether a Ctrl-C came while it was deferred."""

    def __init__(self) -> None:
        self.pending = False
        """Set by the signal handler; what native code calls should make it return early then."""


@contextmanager
def interrupts_deferred() -> Iterator[Deferral]:
    """Defer Ctrl-C while native code runs that calls Python, and deliver it afterwards.

    An exception cannot pass through native code: raised in what it calls, it would be lost.
    """
    deferral = Deferral()
    other = threading.current_thread() is not threading.main_thread()  # which gets no signals
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
