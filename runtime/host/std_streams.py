"""Standard streams: UTF-8, colour detection, notes on stderr, text piped into stdin."""

from __future__ import annotations

import io
import os
import select
import stat
import sys

from runtime import bounds
from runtime.errors import UsageError
from runtime.sanitize import plain_lines
from runtime.units import gigabytes

STDOUT = 1
"""The file descriptor."""


def replace_closed_streams() -> None:
    """Replace standard streams that were closed before the program started.

    Reading from stdin then returns nothing and stderr is discarded, but writing to stdout fails, so
    that lost output is reported.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def discard_stdout() -> None:
    """Redirect stdout to nowhere, so that the interpreter's flush at exit does not fail again."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
    except PermissionError:  # in the sandbox, where nothing can be opened to be written
        nowhere = os.memfd_create("nowhere")
    os.dup2(nowhere, sys.stdout.fileno())


def keep_stdout() -> None:
    """Have what libraries print to standard output go to stderr: what stands there is the answer.

    On a terminal, which shows both and where input() needs it as it is, nothing changes.
    """
    if sys.stdout.fileno() != STDOUT or sys.stdout.isatty():
        return
    sys.stdout.flush()
    own = os.dup(STDOUT)
    os.dup2(sys.stderr.fileno(), STDOUT)
    sys.stdout = open(  # noqa: SIM115
        own, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, newline=""
    )


def use_utf8() -> None:
    """Read and write UTF-8 regardless of the locale."""
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8", errors="replace")


def colour_enabled(setting: str) -> bool:
    """Return whether to use colour: `setting` is on, off or auto, which honours NO_COLOR.

    See https://no-color.org.
    """
    if setting != "auto":
        return setting == "on"
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def say(text: str) -> None:
    """Print a line for the user on stderr, without control characters of untrusted text."""
    print(plain_lines(text), file=sys.stderr, flush=True)


def notify(text: str) -> None:
    """Print a note on stderr; `text` is sanitized, since it may quote untrusted names."""
    print(f"note: {plain_lines(text)}", file=sys.stderr, flush=True)


def piped_text() -> str:
    """Return the text that is piped or redirected into stdin, empty if there is none.

    Raise UsageError if it is longer than bounds.PIPED, or is not text.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
        return ""
    text = sys.stdin.read(bounds.PIPED + 1)
    if len(text) > bounds.PIPED:
        raise UsageError(
            f"more than {gigabytes(bounds.PIPED)} of text are piped in, more than any context "
            "holds",
            hint="pipe in the part that the question is about",
        )
    if "\0" in text:
        raise UsageError(
            "what is piped in is no text: there is a NUL byte in it", hint="pipe in UTF-8 text"
        )
    return text


def reader_has_gone(fd: int) -> bool:
    """Return whether nobody reads any more what is written to an open pipe or socket."""
    poll = select.poll()
    poll.register(fd, 0)  # errors are always told
    return bool(poll.poll(0))


def end_line() -> None:
    """Start a new line after the ^C that the terminal has echoed; safe in a signal handler."""
    if os.isatty(2):
        os.write(2, b"\n")
