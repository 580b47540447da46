"""Texts made up from grammars in GBNF, to see what a grammar really allows."""

from __future__ import annotations

import random
import re
from typing import Any

TOKEN = re.compile(
    r'\s+|"(?:\\.|[^"\\])*"|\[\^?(?:\\.|[^\]\\])*\]|\{\d+(?:,\d*)?\}|::=|[\w-]+|[|()*+?]'
)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
LETTERS = 'aZ0_-. \u00e9\U0001f600"\\/{}[]:,\n'
ENDLESS = 3
"""How often to repeat what may be repeated without end, at most."""


class Grammar:
    """The rules of a grammar."""

    def __init__(self, text: str) -> None:
        self._rules: dict[str, Any] = {}
        for line in text.splitlines():
            name, _, body = line.partition(" ::= ")
            if body or line.endswith("::= "):
                found = [token[0] for token in TOKEN.finditer(body)]
                assert "".join(found) == body, body
                self._rules[name.strip()] = _choice([t for t in found if t.strip()])
        self._least: dict[str, float] = dict.fromkeys(self._rules, float("inf"))
        for _ in self._rules:  # the least depth below each rule
            for name, rule in self._rules.items():
                self._least[name] = min(self._least[name], 1 + self._depth(rule))

    def example(self, seed: int, depth: int = 12) -> str:
        """Return a text that follows the grammar, of rules up to about `depth` deep."""
        return self._make(self._rules["root"], random.Random(seed), depth)

    def _depth(self, node: Any) -> float:
        kind, value = node[0], node[1]
        if kind == "rule":
            return self._least[value]
        if kind == "choice":
            return min(self._depth(option) for option in value)
        if kind == "sequence":
            return max((self._depth(part) for part in value), default=0)
        if kind == "repeat":
            return self._depth(value) if node[2] else 0
        return 0

    def _make(self, node: Any, by: random.Random, left: float) -> str:
        kind, value = node[0], node[1]
        if kind == "text":
            return str(value)
        if kind == "class":
            return _any_of(value, by)
        if kind == "rule":
            return self._make(self._rules[value], by, left - 1)
        if kind == "sequence":
            return "".join(self._make(part, by, left) for part in value)
        if kind == "choice":
            fitting = [option for option in value if self._depth(option) <= left]
            return self._make(by.choice(fitting or [min(value, key=self._depth)]), by, left)
        least, most = node[2], node[3]
        top = least + ENDLESS if most is None else min(most, least + ENDLESS)
        if self._depth(value) > left:
            top = least
        count = by.choice([least, top, by.randint(least, top)])
        if most is not None and most <= 20 and by.random() < 0.2 and self._depth(value) <= left:
            count = most
        return "".join(self._make(value, by, left) for _ in range(count))


def _any_of(text: str, by: random.Random) -> str:
    """Return a character of a class, as it is written in the grammar."""
    negated = text.startswith("^")
    codes = _codes(text[negated:])
    spans, place = [], 0
    while place < len(codes):
        low = high = codes[place][0]
        if place + 2 < len(codes) and codes[place + 1] == (ord("-"), False):
            high, place = codes[place + 2][0], place + 2
        spans.append((low, high))
        place += 1
    if not negated:
        low, high = by.choice(spans)
        return chr(by.choice([low, high, by.randint(low, high)]))
    fitting = [c for c in LETTERS if not any(low <= ord(c) <= high for low, high in spans)]
    return by.choice(fitting)


def _codes(text: str) -> list[tuple[int, bool]]:
    """Return the characters, and whether each was written with a backslash."""
    found, place = [], 0
    while place < len(text):
        if text[place] != "\\":
            found.append((ord(text[place]), False))
            place += 1
            continue
        size = {"x": 2, "u": 4, "U": 8}.get(text[place + 1], 0)
        digits = text[place + 2 : place + 2 + size]
        code = int(digits, 16) if size else ord(ESCAPES.get(text[place + 1], text[place + 1]))
        found.append((code, True))
        place += 2 + size
    return found


def _choice(tokens: list[str]) -> Any:
    """Take alternatives up to a closing parenthesis off the tokens."""
    options: list[Any] = [[]]
    while tokens and tokens[0] != ")":
        token = tokens.pop(0)
        if token == "|":
            options.append([])
        elif token == "(":
            options[-1].append(_choice(tokens))
            tokens.pop(0)
        elif token[0] == '"':
            options[-1].append(("text", "".join(chr(code) for code, _ in _codes(token[1:-1]))))
        elif token[0] == "[":
            options[-1].append(("class", token[1:-1]))
        elif token[0] in "*+?{":
            options[-1].append(("repeat", options[-1].pop(), *_times(token)))
        else:
            options[-1].append(("rule", token))
    return ("choice", [("sequence", option) for option in options])


def _times(token: str) -> tuple[int, int | None]:
    if token in "*+?":
        return (int(token == "+"), 1 if token == "?" else None)
    least, comma, most = token[1:-1].partition(",")
    return int(least), (int(most) if most else None) if comma else int(least)
