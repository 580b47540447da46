"""The forms in which models call tools: told to them, forced on them, and read back as it comes.

hermes    <tool_call>{"name": …, "arguments": {…}}</tool_call>   Hermes, Qwen
mistral   [TOOL_CALLS][{"name": …, "arguments": {…}}, …]         Mistral up to 3
mistral11 [TOOL_CALLS]name[ARGS]{…}                              Mistral from 11 on
llama     {"name": …, "parameters": {…}}                         Llama 3.x, alone or by ;
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.inference import json_schema
from runtime.inference.detokenizer import partial_match_length


@dataclass(frozen=True)
class Form:
    """How a model writes a call."""

    name: str
    begin: str
    """What stands before a call, or a list of them."""
    end: str
    """What stands behind it."""
    arguments: str = "arguments"
    """The key of the arguments."""
    listed: bool = False
    bare: bool = False
    """A call may stand without `begin`, as the whole answer."""
    named: str = ""
    """What stands between name and arguments, where they are no object together."""


FORMS = (
    Form("mistral11", "[TOOL_CALLS]", "", named="[ARGS]"),
    Form("mistral", "[TOOL_CALLS]", "", listed=True),
    Form("hermes", "<tool_call>", "</tool_call>"),
    Form("llama", "<|python_tag|>", "", "parameters", bare=True),
)
OTHERS = ("<function=", "<arg_key>")
"""Marks of forms that look like Hermes' but are none."""


def form_of(template: str) -> Form | None:
    """Return the form that a chat template asks for, None where it has no place for tools."""
    if "tools" not in template or any(mark in template for mark in OTHERS):
        return None
    for form in FORMS:
        marks = [mark for mark in (form.begin, form.named) if mark]
        if form.bare:
            if form.begin in template or ("ipython" in template and "parameters" in template):
                return form
        elif all(mark in template for mark in marks):
            return form
    return None


def grammar(form: Form, tools: Sequence[Mapping[str, Any]]) -> str:
    """Return the grammar of one call of one of `tools`; raise UsageError where there is none."""
    if form.named:
        rules, choices = [], []
        for number, tool in enumerate(tools):
            function = tool["function"]
            rule = f"arguments{number}"
            rules.append(_renamed(function.get("parameters") or {}, rule))
            choices.append(f"{json.dumps(form.begin + function['name'] + form.named)} {rule}")
        return "\n".join([f"root ::= {' | '.join(choices)}", *rules])
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["function"]["name"]},
                form.arguments: tool["function"].get("parameters") or {"type": "object"},
            },
            "required": ["name", form.arguments],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    document = calls[0] if len(calls) == 1 else {"anyOf": calls}
    before, after = "" if form.bare else form.begin, form.end
    if form.listed:
        before, after = before + "[", "]" + after
    if form.name == "hermes":
        before, after = before + "\n", "\n" + after
    parts = [json.dumps(part) if part else "" for part in (before, after)]
    return f"root ::= {parts[0]} call {parts[1]}\n{_renamed(document, 'call')}"


def _renamed(document: Mapping[str, Any], rule: str) -> str:
    """Return the grammar of a schema with all its rules called after `rule`."""
    shared = {"space", "char"}
    lines = json_schema.grammar(json.dumps(document)).splitlines()
    names = {line.partition(" ::= ")[0] for line in lines if " ::= " in line} - shared
    text = "\n".join(lines)
    if not names:
        return text
    # A rule's name is a word outside of quotes.
    words = re.compile(r'("(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\])|([a-zA-Z][\w-]*)')

    def rename(match: re.Match[str]) -> str:
        word = match[2]
        if word not in names:
            return match[0]
        return rule if word == "root" else f"{rule}-{word}"

    return words.sub(rename, text)


@dataclass(frozen=True)
class Called:
    """The beginning of a call."""

    name: str


@dataclass(frozen=True)
class Arguments:
    """Some more of a call's arguments, as JSON."""

    text: str


Said = str | Called | Arguments

HEAD = re.compile(
    r'\s*\{\s*(?:"(?:type|id)"\s*:\s*"[^"]*"\s*,\s*)*"name"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*'
    r'"(?:arguments|parameters)"\s*:\s*(?=[^\s])'
)


class Calls:
    """Divides what a model says into text and calls; what may become either is held back."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._held = ""
        self._state: Callable[[], Iterator[Said]] = self._start if form.bare else self._text
        self._final = False
        self._value = Value()
        self.count = 0
        """Calls so far."""

    def feed(self, text: str) -> Iterator[Said]:
        """Yield what is certain by now."""
        self._held += text
        yield from self._advance()

    def rest(self) -> Iterator[Said]:
        """Yield what was held back; there will be no more."""
        self._final = True
        yield from self._advance()
        held, self._held = self._held, ""
        if held.strip() and self._state in (self._text, self._call, self._start):
            yield held

    def _advance(self) -> Iterator[Said]:
        while self._held:
            before = self._held, self._state
            yield from self._state()
            if (self._held, self._state) == before:
                return

    def _start(self) -> Iterator[Said]:
        """See whether the whole answer is a call."""
        stripped, begin = self._held.lstrip(), self._form.begin
        if stripped.startswith("{"):
            self._state = self._call
        elif stripped and (stripped.startswith(begin) or not begin.startswith(stripped)):
            self._state = self._text
        yield from ()

    def _text(self) -> Iterator[Said]:
        before, found, after = self._held.partition(self._form.begin)
        if found:
            self._held = after
            self._state = self._list if self._form.listed else self._call
            if self._form.named:
                self._state = self._name
            if before.strip():
                yield before.rstrip()
            return
        keep = partial_match_length(before, self._form.begin)
        # Space before a call is none of the answer.
        keep = max(keep, len(before) - len(before[: len(before) - keep].rstrip()))
        if self._final:
            keep = 0
        text, self._held = before[: len(before) - keep], before[len(before) - keep :]
        if text:
            yield text

    def _list(self) -> Iterator[Said]:
        self._held = self._held.lstrip()
        if self._held.startswith("["):
            self._held = self._held[1:]
        if self._held:
            self._state = self._call
        yield from ()

    def _name(self) -> Iterator[Said]:
        name, found, after = self._held.partition(self._form.named)
        if found:
            self._held, self._state = after, self._arguments
            yield self._begin(name.strip())

    def _call(self) -> Iterator[Said]:
        if match := HEAD.match(self._held):
            self._held = self._held[match.end() :]
            self._state = self._arguments
            yield self._begin(json.loads(f'"{match[1]}"'))
            return
        # Another order of the keys, or no arguments at all: wait for the whole.
        value = Value()
        stripped = self._held.lstrip()
        used = value.feed(stripped)
        if not value.complete:
            if stripped[:1] not in ("{", ""):
                self._state = self._text
            return
        try:
            document = json.loads(stripped[:used])
            name = str(document["name"])
        except (ValueError, KeyError, TypeError):
            self._held, self._state = stripped[used:], self._after
            yield stripped[:used]
            return
        self._held, self._state = "}" + stripped[used:], self._after
        yield self._begin(name)
        yield Arguments(_text_of(document.get("arguments", document.get("parameters", {}))))

    def _begin(self, name: str) -> Called:
        self.count += 1
        self._value = Value()
        return Called(name)

    def _arguments(self) -> Iterator[Said]:
        if self._value.untouched and self._held.startswith('"'):  # JSON inside a string
            value = Value()
            used = value.feed(self._held)
            if value.complete:
                text, self._held = self._held[:used], self._held[used:]
                self._state = self._after
                yield Arguments(_text_of(json.loads(text)))
            return
        used = self._value.feed(self._held)
        text, self._held = self._held[:used], self._held[used:]
        if self._value.complete:
            self._state = self._after
        if text:
            yield Arguments(text)

    def _after(self) -> Iterator[Said]:
        """Find what follows a call: its end, another one, or text."""
        self._held = self._held.lstrip()
        form = self._form
        if self._held.startswith("}") and not form.named:
            self._held = self._held[1:]
        elif form.end and self._held.startswith(form.end):
            self._held = self._held[len(form.end) :].lstrip()
            self._state = self._text
        elif self._held.startswith((",", ";")):
            self._held, self._state = self._held[1:], self._call
        elif form.bare and self._held.startswith("{"):
            self._state = self._call
        elif self._held.startswith("]") and form.listed:
            self._held, self._state = self._held[1:], self._text
        elif self._held and not (form.end and form.end.startswith(self._held)):
            self._state = self._text
        yield from ()


class Value:
    """Finds the end of a JSON value in text that comes bit by bit."""

    def __init__(self) -> None:
        self.complete = False
        self.untouched = True
        self._depth = 0
        self._quoted = self._escaped = False

    def feed(self, text: str) -> int:
        """Return how many characters belong to the value."""
        self.untouched = self.untouched and not text
        for place, character in enumerate(text):
            if self._quoted:
                if self._escaped:
                    self._escaped = False
                elif character == "\\":
                    self._escaped = True
                elif character == '"':
                    self._quoted = False
                    self.complete = not self._depth
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                if not self._depth:  # behind a bare number or word
                    self.complete = True
                    return place
                self._depth -= 1
                self.complete = not self._depth
            elif character == "," and not self._depth:
                self.complete = True
                return place
            if self.complete:
                return place + 1
        return len(text)


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
