"""Standard streams as people expect them: UTF-8, colour only where it shows, Ctrl-C in hand."""

from __future__ import annotations

import io
import math
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from runtime.errors import UsageError
from runtime.printable import plain_lines
from runtime.units import gigabytes

AGAIN_SECONDS = 0.02
"""Until a Ctrl-C that was lost is raised again."""
DOUBLE_SECONDS = 0.5
"""For which a Ctrl-C is taken for the double of the last one."""
PIPED_MAX = 64_000_000
"""Characters; without a bound what never ends would take all the memory."""


def double_clicked() -> bool:
    """Tell whether the program was started from a desktop, where nobody sees what it prints."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        try:
            mode = os.fstat(stream.fileno()).st_mode if stream else stat.S_IFCHR
        except (OSError, ValueError):
            continue
        # Nothing, or the system's journal: neither a terminal, nor another program, nor a file.
        journal = stat.S_ISSOCK(mode) and stream is not sys.stdin
        if not journal and (not stat.S_ISCHR(mode) or (stream is not None and stream.isatty())):
            return False
    return True


def open_streams() -> None:
    """Put something in the place of standard streams that were closed.

    To read there is nothing, remarks are lost; but what should be printed is missed: that fails.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def write_nowhere() -> None:
    """Let what could not be printed go, so that the interpreter does not complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def use_utf8() -> None:
    """Read and write UTF-8 whatever the locale says; models speak nothing else."""
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8", errors="replace")


def colourful(setting: str) -> bool:
    """Tell whether to use colour: `setting` is on, off or auto; NO_COLOR (no-color.org) counts."""
    if setting != "auto":
        return setting == "on"
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def notify(text: str) -> None:
    """Tell the user something beside the answer; names and the like in it are a stranger's."""
    print(f"note: {plain_lines(text)}", file=sys.stderr, flush=True)


def piped_text() -> str:
    """Return what is piped or redirected into the program, empty when nothing is.

    Raise UsageError where that is more than any model can read, or no text.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
        return ""
    text = sys.stdin.read(PIPED_MAX + 1)
    if len(text) > PIPED_MAX:
        raise UsageError(
            f"more than {gigabytes(PIPED_MAX)} of text are piped in, more than any context holds",
            hint="pipe in the part that the question is about",
        )
    if "\0" in text:
        raise UsageError(
            "what is piped in is no text: there is a NUL byte in it", hint="pipe in UTF-8 text"
        )
    return text


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


class _Held:
    """Whether a Ctrl-C waits until native code has returned."""

    waits = False


def interrupted() -> bool:
    """Tell whether a Ctrl-C waits; what native code calls should make it come to an end then."""
    return _Held.waits


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while native code runs that calls Python, and deliver it afterwards.

    An exception cannot pass through native code: raised in what it calls, it would be lost.
    """
    other = threading.current_thread() is not threading.main_thread()  # which gets no signals
    if other or interrupts_ignored():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        _Held.waits = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if _Held.waits:
            _Held.waits = False
            signal.raise_signal(signal.SIGINT)


def end_line() -> None:
    """Leave the line where the terminal has written ^C; safe in a signal handler."""
    if os.isatty(2):
        os.write(2, b"\n")


def open_browser(address: str) -> None:
    """Open `address` in the user's browser; where there is none, nothing happens."""
    import webbrowser

    # The launcher's own libraries are not for other programs.
    before = os.environ.get("LD_LIBRARY_PATH")
    original = os.environ.get("LD_LIBRARY_PATH_ORIG")
    try:
        if original is not None:
            os.environ["LD_LIBRARY_PATH"] = original
        elif before is not None:
            del os.environ["LD_LIBRARY_PATH"]
        webbrowser.open(address)
    finally:
        if before is not None:
            os.environ["LD_LIBRARY_PATH"] = before
