"""Show an answer as it comes: thoughts dimmed, the rest as it is or as Markdown."""

from __future__ import annotations

from typing import Protocol, TextIO

from runtime.chat_format.reasoning import Markers, ReasoningSplitter


class Style:
    """The few colours of the chat, or none."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour
        self.prompt = "\x1b[1;32m> \x1b[0m" if colour else "> "
        self.more = "\x1b[32m… \x1b[0m" if colour else "… "
        self._dim, self._plain = ("\x1b[2m", "\x1b[0m") if colour else ("", "")

    def dim(self, text: str) -> str:
        """Return `text` as a remark beside the conversation."""
        return f"{self._dim}{text}{self._plain}"


class Writer(Protocol):
    """Takes text in pieces and shows it."""

    def write(self, text: str) -> object: ...
    def close(self) -> object: ...


class AnswerView:
    """One answer on a stream."""

    def __init__(
        self,
        out: TextIO,
        style: Style,
        *,
        markers: Markers | None = None,
        prompt: str = "",
        body: Writer | None = None,
    ) -> None:
        """`prompt` is the end of what the model was shown, `body` shows all but the thoughts.

        Without colour the markers of the thoughts stay where they are: a reader must be able to
        tell them.
        """
        self._out = out
        self._style = style
        self._thoughts = ReasoningSplitter(markers if style.colour else None, prompt)
        self._body = body
        self._thought = False
        self._begun = False

    def write(self, text: str) -> None:
        """Show some more of the answer."""
        for part in self._thoughts.feed(text):
            self._show(part.text, part.thought)
        self._out.flush()

    def close(self) -> None:
        """Show what was held back; the answer is complete."""
        for part in self._thoughts.rest():
            self._show(part.text, part.thought)
        if self._body:
            self._body.close()
        self._out.flush()

    def _show(self, text: str, thought: bool) -> None:
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
