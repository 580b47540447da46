"""Streaming output of an answer to a terminal: dimmed reasoning, Markdown or plain text."""

from __future__ import annotations

from typing import Protocol, TextIO

from runtime.chat_format.reasoning import Markers, ReasoningSplitter


class Style:
    """ANSI styles of the chat, empty without colour."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour
        self.prompt = "\x1b[1;32m> \x1b[0m" if colour else "> "
        self.more = "\x1b[32m… \x1b[0m" if colour else "… "
        self._dim, self._plain = ("\x1b[2m", "\x1b[0m") if colour else ("", "")

    def dim(self, text: str) -> str:
        """Return `text` dimmed, for notes beside the conversation."""
        return f"{self._dim}{text}{self._plain}"


class Writer(Protocol):
    """Takes text in pieces and displays it."""

    def write(self, text: str) -> object: ...
    def close(self) -> object: ...


class AnswerView:
    """Displays one answer on a stream."""

    def __init__(
        self,
        out: TextIO,
        style: Style,
        *,
        markers: Markers | None = None,
        prompt: str = "",
        body: Writer | None = None,
    ) -> None:
        """`prompt` is the end of the model's prompt, `body` displays everything but the reasoning.

        Without colour, the reasoning markers are left in the text, since dimming cannot set it
        apart.
        """
        self._out = out
        self._style = style
        self._thoughts = ReasoningSplitter(markers if style.colour else None, prompt)
        self._body = body
        self._thought = False
        self._begun = False

    def write(self, text: str) -> None:
        """Display a piece of the answer."""
        for part in self._thoughts.feed(text):
            self._show(part.text, part.thought)
        self._out.flush()

    def close(self) -> None:
        """Display the text held back, at the end of the answer."""
        for part in self._thoughts.rest():
            self._show(part.text, part.thought)
        if self._body:
            self._body.close()
        self._out.flush()

    def _show(self, text: str, thought: bool) -> None:
        """Write a part, with an empty line between reasoning and answer."""
        if thought:
            self._out.write(self._style.dim(text))
        elif self._thought and not self._begun:
            text = text.lstrip("\n")
            if not text:
                return
            self._out.write("\n\n")
        self._thought |= thought
        if thought:
            return
        self._begun = True
        if self._body:
            self._body.write(text)
        else:
            self._out.write(text)
