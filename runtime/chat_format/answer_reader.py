"""Answer readers: an answer as it comes, divided into reasoning, content and tool calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from runtime.model import libchat

STEPS = 200
"""Parts at most that an answer in a broken form is read in."""


@dataclass(frozen=True)
class CallDelta:
    """What is new of a tool call; the first one of a call has its name."""

    index: int
    id: str
    name: str
    arguments: str
    """A fragment of the arguments, as JSON."""


@dataclass
class Delta:
    """What is new of an answer."""

    reasoning: str = ""
    content: str = ""
    calls: list[CallDelta] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.reasoning or self.content or self.calls)

    def add(self, more: Delta) -> None:
        """Add what is new after this."""
        self.reasoning += more.reasoning
        self.content += more.content
        self.calls += more.calls


class AnswerReader(Protocol):
    """Reads one answer."""

    def feed(self, text: str, *, last: bool) -> Delta:
        """Take in text; return what is certain by now. Nothing is fed after `last`."""


class ContentReader:
    """Reads answers that are nothing but content."""

    def feed(self, text: str, *, last: bool) -> Delta:
        return Delta(content=text)


class LibraryReader:
    """Reads an answer by llama.cpp's parser for the chat template.

    An answer that does not have the template's form is read as far as it has, and one that does not
    begin in it is content.
    """

    def __init__(self, prompt: libchat.Prompt) -> None:
        self._prompt = prompt
        self._answer = prompt.answer()
        self._text = ""
        self._told = False
        """Whether anything of the answer was returned."""
        self._arguments: dict[int, str] = {}
        """The arguments of each call so far."""
        self._calls: dict[int, CallDelta] = {}
        """Calls that have a name and no arguments yet: it may become a longer name."""

    def feed(self, text: str, *, last: bool) -> Delta:
        self._text += text
        try:
            delta = self._delta(self._answer.feed(text, partial=not last)["news"], last=last)
        except libchat.LibraryError:
            if not last:
                return Delta()
            delta = self._broken()
        if last and not delta and not self._told:
            delta = Delta(content=self._text)
        self._told |= bool(delta)
        for call in delta.calls:
            self._arguments[call.index] = self._arguments.get(call.index, "") + call.arguments
        if last:
            delta.calls += self._closings()
        return delta

    def _closings(self) -> Iterator[CallDelta]:
        """Yield the braces that are missing where the model left a call's form after its values."""
        for index, text in self._arguments.items():
            for missing in ("", "}", "}}", "}}}"):
                if _is_json(text + missing):
                    if missing:
                        yield CallDelta(index, "", "", missing)
                    break

    def _broken(self) -> Delta:
        """Return the rest of an answer that ends in another form: what of it still has the form.

        Where parts were returned as they came, that is all there is to return.
        """
        if self._told:
            return self._delta([], last=True)
        # As it would have come in a stream, cut where forms have their ends.
        pieces = re.split(r"(?<=[>}\]\n])", self._text)
        size = 1 + len(pieces) // STEPS
        answer, whole = self._prompt.answer(), Delta()
        for begin in range(0, len(pieces), size):
            try:
                news = answer.feed("".join(pieces[begin : begin + size]), partial=True)["news"]
            except libchat.LibraryError:
                continue
            whole.add(self._delta(news, last=False))
        whole.add(self._delta([], last=True))
        return whole

    def _delta(self, news: Sequence[dict[str, Any]], *, last: bool) -> Delta:
        delta = Delta()
        for one in news:
            delta.reasoning += one.get("reasoning", "")
            delta.content += one.get("content", "")
            if "call" in one:
                self._add_call(delta, one["index"], one["call"])
        if last:
            for index in list(self._calls):
                delta.calls.append(self._calls.pop(index))
        return delta

    def _add_call(self, delta: Delta, index: int, call: dict[str, str]) -> None:
        """Add what is new of a call; its name is held back until it is complete."""
        held = self._calls.pop(index, None)
        name = call["name"] or (held.name if held else "")
        identity = call["id"] or (held.id if held else "")
        new = CallDelta(index, identity, name, call["arguments"])
        for earlier in [i for i in self._calls if i < index]:
            delta.calls.append(self._calls.pop(earlier))
        if name and not new.arguments:
            self._calls[index] = new
        else:
            delta.calls.append(new)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
