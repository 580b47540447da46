"""Streaming output of an answer to a terminal: dimmed reasoning, Markdown or plain text."""

from __future__ import annotations

from typing import Protocol, TextIO

from runtime.chat_format.answer_reader import Delta
from runtime.sanitize import shown

OPENED, CLOSED = "<think>\n", "\n</think>\n\n"
"""What the reasoning stands between where there is no colour to set it apart."""


class Style:
    """ANSI styles of the chat, empty without colour."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour
        self.prompt = "\x1b[1;32m> \x1b[0m" if colour else "> "
        self.more = "\x1b[32m… \x1b[0m" if colour else "… "
        self._dim, self._plain = ("\x1b[2m", "\x1b[0m") if colour else ("", "")

    def echo(self, text: str) -> str:
        """Return `text` in the colour of a prompt that is shown before its completion."""
        return f"\x1b[33m{text}{self._plain}" if self.colour else text

    def dim(self, text: str) -> str:
        """Return `text` dimmed, for notes beside the conversation."""
        return f"{self._dim}{text}{self._plain}"


class Writer(Protocol):
    """Takes text in pieces and displays it."""

    def write(self, text: str) -> object: ...
    def close(self) -> object: ...


class AnswerView:
    """Displays one answer on a stream."""

    def __init__(self, out: TextIO, style: Style, *, body: Writer | None = None) -> None:
        """`body` displays everything but the reasoning.

        On a terminal control characters of the answer are made visible: they would steer it.
        """
        self._cleaned = shown if out.isatty() else str
        self._out = out
        self._style = style
        self._body = body
        self._reasons = False
        self._held = ""
        """Empty lines at the end of the reasoning, which are not shown if nothing follows."""

    def go_on(self, before: Delta) -> None:
        """Go on behind that part of an answer, which is displayed already."""
        self._reasons = bool(before.reasoning and not before.content)

    def write(self, delta: Delta) -> None:
        """Display what is new of the answer."""
        if delta.reasoning:
            self._show_reasoning(self._cleaned(delta.reasoning))
        if delta.content:
            self._show_content(self._cleaned(delta.content))
        self._out.flush()

    def close(self) -> None:
        """End the display, at the end of the answer."""
        self._end_reasoning()
        if self._body:
            self._body.close()
        self._out.flush()

    def _show_reasoning(self, text: str) -> None:
        if not self._reasons:
            text = text.lstrip("\n")
            if not text:
                return
            self._reasons = True
            if not self._style.colour:
                self._out.write(OPENED)
        text = self._held + text
        shown = text.rstrip("\n")
        self._held = text[len(shown) :]
        if shown:
            self._out.write(self._style.dim(shown))

    def _show_content(self, text: str) -> None:
        if self._reasons:  # between reasoning and answer, models leave empty lines
            text = text.lstrip("\n")
            if not text:
                return
        self._end_reasoning()
        (self._body or self._out).write(text)

    def _end_reasoning(self) -> None:
        if self._reasons:
            self._reasons, self._held = False, ""
            self._out.write("\n\n" if self._style.colour else CLOSED)
