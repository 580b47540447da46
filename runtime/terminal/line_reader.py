"""Lines that the user types: by an editor on a terminal, or as they come from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from runtime.host.interrupts import on_interrupt

ReadLine = Callable[[str], str]
"""Displays a prompt and returns a line; raises EOFError at the end of the input, KeyboardInterrupt
at Ctrl-C."""


def terminal_reader() -> ReadLine:
    """Return a line editor with history, for a terminal."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import ANSI

    session: PromptSession[str] = PromptSession()

    def read(prompt: str) -> str:
        # In raw mode Ctrl-C is a key; a SIGINT that still arrives duplicates an earlier one.
        with on_interrupt(lambda: None):
            return session.prompt(ANSI(prompt), handle_sigint=False)

    return read


def plain_reader(lines: Iterator[str]) -> ReadLine:
    """Return a reader for lines from a pipe, without prompt or editing."""

    def read(_: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        return line.rstrip("\r\n")

    return read


def reader(lines: Iterator[str] | None = None) -> ReadLine:
    """Return the reader for standard input: a line editor on a terminal, else a plain one.

    The plain one reads `lines`, if they are given.
    """
    if sys.stdin.isatty() and sys.stdout.isatty():
        return terminal_reader()
    return plain_reader(lines or iter(sys.stdin))
