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

CLOSING_TAGS = re.compile(r"\s*(?:(?:</[^<>]*>|<[^<>]*\|>)\s*)*")


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

    def feed(self, text: str, *, last: bool, cut: bool = False) -> Delta:
        """Take in text; return what is certain by now. Nothing is fed after `last`.

        An answer that is `cut` there would have gone on.
        """


class ContentReader:
    """Reads answers that are nothing but content."""

    def feed(self, text: str, *, last: bool, cut: bool = False) -> Delta:
        return Delta(content=text)


class LibraryReader:
    """Reads an answer by llama.cpp's parser for the chat template.

    An answer that leaves the template's form is read as far as it has the form. The rest is content
    then, or left out behind calls. A call that is left in its middle is one only if a part of it
    was told already.
    """

    def __init__(self, prompt: libchat.Prompt, *, one_call: bool = False) -> None:
        """With `one_call`, others after it are left out: some grammars let the model write them."""
        self._prompt = prompt
        self._one_call = one_call
        self._answer = prompt.answer()
        self._text = ""
        self._told = Delta()
        self._read = self._plain = 0
        """Characters up to the last news, and up to the end of the last reasoning or content."""
        self._arguments: dict[int, str] = {}
        """The arguments of each call so far."""
        self._calls: dict[int, CallDelta] = {}
        """Calls that have a name and no arguments yet: it may become a longer name."""

    def feed(self, text: str, *, last: bool, cut: bool = False) -> Delta:
        self._text += text
        try:
            delta = self._delta(self._answer.feed(text, partial=not last)["news"], len(self._text))
            broken = last and not (cut or delta or self._has_the_form())
        except libchat.LibraryError:
            delta, broken = Delta(), last
        if broken:
            delta = self._broken()
        if last:
            for index in list(self._calls):
                delta.calls.append(self._calls.pop(index))
            if not cut and (not broken or self._closes):
                delta.calls += self._closings()
            if not (cut or delta or self._told):
                delta = Delta(content=self._text)
        self._told.add(delta)
        return delta

    @property
    def _closes(self) -> bool:
        """Return whether there are only closing tags behind the last news."""
        return bool(CLOSING_TAGS.fullmatch(self._text, self._read))

    def _closings(self) -> Iterator[CallDelta]:
        """Yield the braces that are missing where the model left a call's form after its values."""
        for index, text in self._arguments.items():
            for missing in ("", "}", "}}", "}}}"):
                if _is_json(text + missing):
                    if missing:
                        yield CallDelta(index, "", "", missing)
                    break

    def _has_the_form(self) -> bool:
        """Return whether anything is read of the whole; the library is silent about some forms."""
        return bool(self._prompt.answer().feed(self._text, partial=False)["news"])

    def _broken(self) -> Delta:
        """Return the rest of an answer that leaves the form."""
        told = {call.index for call in self._told.calls}
        delta = self._what_has_the_form()
        for index in {*self._arguments, *self._calls} - told:
            if not (self._closes or _is_json(self._arguments.get(index, ""))):
                delta.calls = [call for call in delta.calls if call.index != index]
                self._arguments.pop(index, None)
                self._calls.pop(index, None)
        if not told and not self._arguments:
            rest = self._text[self._plain :]
            if not self._told.content and not delta.content:
                for end in self._prompt.reply["thinking_ends"][:1]:
                    rest = rest.lstrip().removeprefix(end.strip())
            delta.content += rest
        return delta

    def _what_has_the_form(self) -> Delta:
        """Return what is in the form after the last news, however it came in pieces."""
        delta, end = Delta(), len(self._text)
        step = 1 + (end - self._read) // STEPS
        while step:
            answer, begin = self._prompt.answer(), self._read
            answer.feed(self._text[:begin], partial=True)
            for place in range(begin + step, end + 1, step):
                try:
                    news = answer.feed(self._text[place - step : place], partial=True)["news"]
                except libchat.LibraryError:
                    continue  # it may have the form again with more of it
                delta.add(self._delta(news, place))
            end = min(end, self._read + step)
            step = 1 if step > 1 else 0
        return delta

    def _delta(self, news: Sequence[dict[str, Any]], end: int) -> Delta:
        """Return the news of the first `end` characters."""
        delta = Delta()
        for one in news:
            delta.reasoning += one.get("reasoning", "")
            delta.content += one.get("content", "")
            if "call" in one and not (self._one_call and one["index"]):
                self._add_call(delta, one["index"], one["call"])
        if news:
            self._read = end
        for text in filter(None, (delta.reasoning, delta.content)):
            place = self._text.find(text, self._plain, end)
            self._plain = place + len(text) if place >= 0 else end
        for call in delta.calls:
            self._arguments[call.index] = self._arguments.get(call.index, "") + call.arguments
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
