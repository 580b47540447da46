"""Regular expressions of JSON schemas, taken apart."""

from __future__ import annotations

from dataclasses import dataclass

from runtime import bounds

LAST = 0x10FFFF
Ranges = tuple[tuple[int, int], ...]
DIGITS: Ranges = ((0x30, 0x39),)
WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
SPACE: Ranges = ((0x09, 0x0D), (0x20, 0x20))
CLASSES = {"d": DIGITS, "w": WORD, "s": SPACE}
CONTROLS = {"n": 0x0A, "t": 0x09, "r": 0x0D, "f": 0x0C, "v": 0x0B, "0": 0}


class Inexpressible(Exception):
    """What no grammar can express, or what is no regular expression."""


@dataclass(frozen=True)
class Characters:
    """One character out of a set."""

    ranges: Ranges


@dataclass(frozen=True)
class Series:
    """One part after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of several."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """The same several times; no `most` is no limit."""

    part: Node
    least: int
    most: int | None


@dataclass(frozen=True)
class Edge:
    """The begin or the end of the text."""

    begins: bool


@dataclass(frozen=True)
class Look:
    """A condition on what stands around."""

    part: Node


Node = Characters | Series | Choice | Repeat | Edge | Look


def parse(source: str) -> Node:
    """Return a regular expression's parts; raise Inexpressible if one is not known here."""
    return _Parser(source).parse()


class _Parser:
    """Reads what ECMAScript and Python have in common of regular expressions."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._place = 0
        self._depth = 0

    def parse(self) -> Node:
        """Return the whole; raise Inexpressible if something in it is not known here."""
        node = self._choice()
        if self._place < len(self._source):
            raise Inexpressible
        return node

    def _next(self) -> str:
        return self._source[self._place : self._place + 1]

    def _take(self) -> str:
        found = self._next()
        if not found:
            raise Inexpressible
        self._place += 1
        return found

    def _skip(self, text: str) -> bool:
        if self._source.startswith(text, self._place):
            self._place += len(text)
            return True
        return False

    def _choice(self) -> Node:
        options = [self._sequence()]
        while self._skip("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Series(tuple(parts))

    def _repeated(self, node: Node) -> Node:
        while True:
            limits = self._limits()
            if limits is None:
                return node
            if isinstance(node, Edge | Look):
                raise Inexpressible
            if not self._skip("?"):  # as few as possible: which texts match is the same
                self._skip("+")
            node = Repeat(node, *limits)

    def _limits(self) -> tuple[int, int | None] | None:
        for sign, limits in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._skip(sign):
                return limits
        if self._next() != "{":
            return None
        inner, closed, _ = self._source[self._place + 1 :].partition("}")
        least, comma, most = inner.partition(",")
        if not closed or not (least or most) or len(inner) > 20:
            raise Inexpressible
        if not all(number.isdecimal() for number in (least, most) if number):
            raise Inexpressible
        self._place += len(inner) + 2
        low = int(least or 0)
        high = (int(most) if most else None) if comma else low
        if high is not None and high < low:
            raise Inexpressible
        return low, high

    def _atom(self) -> Node:
        character = self._take()
        if character == "(":
            return self._group()
        if character == "[":
            return Characters(self._set())
        if character == ".":
            return Characters(complement(((0x0A, 0x0A), (0x0D, 0x0D))))
        if character in "^$":
            return Edge(character == "^")
        if character == "\\":
            return self._escape()
        if character in "*+?{":
            raise Inexpressible
        return Characters(((ord(character), ord(character)),))

    def _group(self) -> Node:
        self._depth += 1
        if self._depth > bounds.PATTERN_NESTING:
            raise Inexpressible
        looks = False
        if self._skip("?"):
            looks = any(self._skip(sign) for sign in ("=", "!", "<=", "<!"))
            if not looks and not self._skip(":"):
                self._skip("P")
                name, closed, _ = self._source[self._place + 1 :].partition(">")
                if self._next() != "<" or not closed or not name.isidentifier():
                    raise Inexpressible
                self._place += len(name) + 2
        node = self._choice()
        if not self._skip(")"):
            raise Inexpressible
        self._depth -= 1
        return Look(node) if looks else node

    def _escape(self) -> Node:
        if self._next() in "AZz" and self._next():
            return Edge(self._take() == "A")
        if self._next() in "bB" and self._next():
            self._take()
            return Look(Series(()))
        return Characters(self._escaped())

    def _escaped(self) -> Ranges:
        """Return the set that stands for the characters after a backslash."""
        letter = self._take()
        if letter.lower() in CLASSES:
            ranges = CLASSES[letter.lower()]
            return complement(ranges) if letter.isupper() else ranges
        if letter in "xu":
            size = 2 if letter == "x" else 4
            digits = self._source[self._place : self._place + size]
            try:
                code = int(digits, 16)
            except ValueError:
                raise Inexpressible from None
            if len(digits) < size:
                raise Inexpressible
            self._place += size
        elif letter in CONTROLS:
            code = CONTROLS[letter]
        elif letter.isalnum():  # a group again, a property of Unicode …
            raise Inexpressible
        else:
            code = ord(letter)
        return ((code, code),)

    def _set(self) -> Ranges:
        negated = self._skip("^")
        spans: list[Ranges] = []
        while not self._skip("]"):
            low = self._member()
            if self._next() != "-" or self._source[self._place + 1 : self._place + 2] == "]":
                spans.append(low)
                continue
            self._take()
            high = self._member()
            if len(low) == len(high) == 1 and low[0][0] == low[0][1] <= high[0][0] == high[0][1]:
                spans.append(((low[0][0], high[0][0]),))
            else:
                spans += [low, ((0x2D, 0x2D),), high]
        ranges = union(*spans)
        return complement(ranges) if negated else ranges

    def _member(self) -> Ranges:
        character = self._take()
        if character == "\\":
            if self._skip("b"):
                return ((0x08, 0x08),)
            return self._escaped()
        return ((ord(character), ord(character)),)


def union(*several: Ranges) -> Ranges:
    """Return the characters in any of the sets."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(span for ranges in several for span in ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def complement(ranges: Ranges) -> Ranges:
    """Return the characters that are not in a set."""
    found, begin = [], 0
    for low, high in union(ranges):
        if low > begin:
            found.append((begin, low - 1))
        begin = high + 1
    return (*found, (begin, LAST)) if begin <= LAST else tuple(found)


def without(ranges: Ranges, others: Ranges) -> Ranges:
    """Return the characters in the first set alone."""
    return complement(union(complement(ranges), others))
