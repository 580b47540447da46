"""The standard streams: UTF-8, colour only where it shows, notes on stderr, piped text."""

from __future__ import annotations

import io
import os
import stat
import sys

from runtime.errors import UsageError
from runtime.sanitize import plain_lines
from runtime.units import gigabytes

PIPED_MAX = 64_000_000
"""Characters; without a bound what never ends would take all the memory."""


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


def end_line() -> None:
    """Leave the line where the terminal has written ^C; safe in a signal handler."""
    if os.isatty(2):
        os.write(2, b"\n")
