"""The formats in which models call tools: told to them, forced on them, and read back as it comes.

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
from runtime.inference.stop_strings import partial_match


@dataclass(frozen=True)
class CallFormat:
    """How a model writes a tool call."""

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


FORMATS = (
    CallFormat("mistral11", "[TOOL_CALLS]", "", named="[ARGS]"),
    CallFormat("mistral", "[TOOL_CALLS]", "", listed=True),
    CallFormat("hermes", "<tool_call>", "</tool_call>"),
    CallFormat("llama", "<|python_tag|>", "", "parameters", bare=True),
)
OTHERS = ("<function=", "<arg_key>")
"""Marks of formats that look like Hermes' but are none."""


def format_of(template: str) -> CallFormat | None:
    """Return the format that a chat template asks for, None if it does not support tools."""
    if "tools" not in template or any(mark in template for mark in OTHERS):
        return None
    for call_format in FORMATS:
        marks = [mark for mark in (call_format.begin, call_format.named) if mark]
        if call_format.bare:
            if call_format.begin in template or (
                "ipython" in template and "parameters" in template
            ):
                return call_format
        elif all(mark in template for mark in marks):
            return call_format
    return None


def grammar(call_format: CallFormat, tools: Sequence[Mapping[str, Any]]) -> str:
    """Return the grammar of one call of one of `tools`; raise UsageError if a schema has none."""
    if call_format.named:
        rules, choices = [], []
        for number, tool in enumerate(tools):
            function = tool["function"]
            rule = f"arguments{number}"
            rules.append(_renamed(function.get("parameters") or {}, rule))
            choices.append(
                f"{json.dumps(call_format.begin + function['name'] + call_format.named)} {rule}"
            )
        return "\n".join([f"root ::= {' | '.join(choices)}", *rules])
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["function"]["name"]},
                call_format.arguments: tool["function"].get("parameters") or {"type": "object"},
            },
            "required": ["name", call_format.arguments],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    document = calls[0] if len(calls) == 1 else {"anyOf": calls}
    before, after = "" if call_format.bare else call_format.begin, call_format.end
    if call_format.listed:
        before, after = before + "[", "]" + after
    if call_format.name == "hermes":
        before, after = before + "\n", "\n" + after
    parts = [json.dumps(part) if part else "" for part in (before, after)]
    return f"root ::= {parts[0]} call {parts[1]}\n{_renamed(document, 'call')}"


def _renamed(document: Mapping[str, Any], rule: str) -> str:
    """Return the grammar of a schema with the prefix `rule` for all its rules."""
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
class CallStart:
    """The start of a call: the function's name."""

    name: str


@dataclass(frozen=True)
class CallArguments:
    """A fragment of a call's arguments, as JSON."""

    text: str


Parsed = str | CallStart | CallArguments

HEAD = re.compile(
    r'\s*\{\s*(?:"(?:type|id)"\s*:\s*"[^"]*"\s*,\s*)*"name"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*'
    r'"(?:arguments|parameters)"\s*:\s*(?=[^\s])'
)


class CallParser:
    """Divides a streamed answer into text and calls; what may still become either is held back."""

    def __init__(self, call_format: CallFormat) -> None:
        self._format = call_format
        self._held = ""
        self._state: Callable[[], Iterator[Parsed]] = (
            self._start if call_format.bare else self._text
        )
        self._final = False
        self._value = ValueScanner()
        self.count = 0
        """Calls so far."""

    def feed(self, text: str) -> Iterator[Parsed]:
        """Yield what is final."""
        self._held += text
        yield from self._advance()

    def rest(self) -> Iterator[Parsed]:
        """Yield what was held back; call it once, at the end."""
        self._final = True
        yield from self._advance()
        held, self._held = self._held, ""
        if held.strip() and self._state in (self._text, self._call, self._start):
            yield held

    def _advance(self) -> Iterator[Parsed]:
        while self._held:
            before = self._held, self._state
            yield from self._state()
            if (self._held, self._state) == before:
                return

    def _start(self) -> Iterator[Parsed]:
        """Decide whether the whole answer is a call."""
        stripped, begin = self._held.lstrip(), self._format.begin
        if stripped.startswith("{"):
            self._state = self._call
        elif stripped and (stripped.startswith(begin) or not begin.startswith(stripped)):
            self._state = self._text
        yield from ()

    def _text(self) -> Iterator[Parsed]:
        before, found, after = self._held.partition(self._format.begin)
        if found:
            self._held = after
            self._state = self._list if self._format.listed else self._call
            if self._format.named:
                self._state = self._name
            if before.strip():
                yield before.rstrip()
            return
        keep = partial_match(before, self._format.begin)
        # Space before a call is none of the answer.
        keep = max(keep, len(before) - len(before[: len(before) - keep].rstrip()))
        if self._final:
            keep = 0
        text, self._held = before[: len(before) - keep], before[len(before) - keep :]
        if text:
            yield text

    def _list(self) -> Iterator[Parsed]:
        self._held = self._held.lstrip()
        if self._held.startswith("["):
            self._held = self._held[1:]
        if self._held:
            self._state = self._call
        yield from ()

    def _name(self) -> Iterator[Parsed]:
        name, found, after = self._held.partition(self._format.named)
        if found:
            self._held, self._state = after, self._arguments
            yield self._begin(name.strip())

    def _call(self) -> Iterator[Parsed]:
        if match := HEAD.match(self._held):
            self._held = self._held[match.end() :]
            self._state = self._arguments
            yield self._begin(json.loads(f'"{match[1]}"'))
            return
        # Another order of the keys, or no arguments at all: wait for the whole.
        value = ValueScanner()
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
        yield CallArguments(_text_of(document.get("arguments", document.get("parameters", {}))))

    def _begin(self, name: str) -> CallStart:
        self.count += 1
        self._value = ValueScanner()
        return CallStart(name)

    def _arguments(self) -> Iterator[Parsed]:
        if self._value.untouched and self._held.startswith('"'):  # JSON inside a string
            value = ValueScanner()
            used = value.feed(self._held)
            if value.complete:
                text, self._held = self._held[:used], self._held[used:]
                self._state = self._after
                yield CallArguments(_text_of(json.loads(text)))
            return
        used = self._value.feed(self._held)
        text, self._held = self._held[:used], self._held[used:]
        if self._value.complete:
            self._state = self._after
        if text:
            yield CallArguments(text)

    def _after(self) -> Iterator[Parsed]:
        """Parse what follows a call: its end, another call, or text."""
        self._held = self._held.lstrip()
        call_format = self._format
        if self._held.startswith("}") and not call_format.named:
            self._held = self._held[1:]
        elif call_format.end and self._held.startswith(call_format.end):
            self._held = self._held[len(call_format.end) :].lstrip()
            self._state = self._text
        elif self._held.startswith((",", ";")):
            self._held, self._state = self._held[1:], self._call
        elif call_format.bare and self._held.startswith("{"):
            self._state = self._call
        elif self._held.startswith("]") and call_format.listed:
            self._held, self._state = self._held[1:], self._text
        elif self._held and not (call_format.end and call_format.end.startswith(self._held)):
            self._state = self._text
        yield from ()


class ValueScanner:
    """Finds the end of a JSON value in streamed text."""

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
