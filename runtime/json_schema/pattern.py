"""Patterns of JSON schemas: regular expressions, rewritten for the engine's converter.

The converter takes patterns from `^` to `$` and copies their parts into a grammar of JSON text, in
which a quote or a backslash must be escaped. Here a pattern is taken apart and written anew, of
classes, groups and repetitions alone, for the text of a JSON string.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from runtime import bounds
from runtime.json_schema.regex import (
    LAST,
    Characters,
    Choice,
    Edge,
    Inexpressible,
    Look,
    Node,
    Ranges,
    Repeat,
    Series,
    parse,
    without,
)

ESCAPED = {0x22: "\\x22", 0x5C: "\\x5C", 0x08: "b", 0x09: "t", 0x0A: "n", 0x0C: "f", 0x0D: "r"}
"""Characters that JSON writes with a backslash, and what follows it."""
ANYTHING = Repeat(Characters(((0, LAST),)), 0, None)


@dataclass(frozen=True)
class Pattern:
    """A pattern that a whole text must match."""

    node: Node

    @classmethod
    def of(cls, source: str) -> Pattern:
        """Return a pattern; raise Inexpressible if no grammar can hold a text to it."""
        return cls(_anchored(parse(source)))

    def limited(self, least: int, most: int | None) -> tuple[Pattern, bool, bool]:
        """Return the pattern for texts of `least` to `most` characters.

        Also return whether it keeps to each of the two.
        """
        node = self.node
        if isinstance(node, Repeat) and isinstance(node.part, Characters):
            upper = node.most if most is None else most
            if most is not None and node.most is not None:
                upper = min(most, node.most)
            changed = replace(node, least=max(least, node.least), most=upper)
            if changed.most is None or changed.least <= changed.most <= bounds.REPETITIONS:
                node = changed
        shortest, longest = _width(node)
        fits = most is None or (longest is not None and longest <= most)
        return Pattern(node), shortest >= least, fits

    def holds(self, text: str) -> bool:
        """Return whether a whole text matches; raise Inexpressible if that cannot be said here.

        All ways to match are followed at once, so that it never takes long.
        """
        return len(text) in _ends(self.node, text, {0})

    def text(self) -> str:
        """Return it as the converter reads it; raise Inexpressible if that is impossible."""
        return f"^{_written(self.node)}$"


def is_slow(source: str, length: int) -> bool:
    """Return whether to search a text of `length` for a pattern may take very long.

    Python goes back through all ways to match: there are many if what is repeated may itself have
    several lengths.
    """
    try:
        node = parse(source)
    except Inexpressible:
        return True
    if _is_ambiguous(node, repeated=False):
        return True
    return bool(length ** (1 + _unlimited(node)) > 10**8)


def _ends(node: Node, text: str, begins: set[int]) -> set[int]:
    """Return where matches may end that begin at one of these places."""
    match node:
        case Characters(ranges):
            here = [place for place in begins if place < len(text)]
            return {p + 1 for p in here if any(a <= ord(text[p]) <= b for a, b in ranges)}
        case Series(parts):
            for part in parts:
                begins = _ends(part, text, begins)
            return begins
        case Choice(options):
            return set().union(*(_ends(option, text, begins) for option in options))
        case Repeat(part, least, most):
            for _ in range(least):
                begins = _ends(part, text, begins)
            found, new, left = set(begins), begins, len(text) if most is None else most - least
            while new and left:
                new = _ends(part, text, new) - found
                found |= new
                left -= 1
            return found
        case Edge(at_begin):
            return begins & {0 if at_begin else len(text)}
    raise Inexpressible


def _is_ambiguous(node: Node, *, repeated: bool) -> bool:
    match node:
        case Series(parts):
            return any(_is_ambiguous(part, repeated=repeated) for part in parts)
        case Choice(options):
            return repeated or any(_is_ambiguous(part, repeated=repeated) for part in options)
        case Repeat(part, least, most):
            if repeated and least != most:
                return True
            return _is_ambiguous(part, repeated=repeated or most is None or most > 1)
        case Look(part):
            return _is_ambiguous(part, repeated=repeated)
    return False


def _unlimited(node: Node) -> int:
    """Return how many parts may be of any length."""
    match node:
        case Series(parts) | Choice(parts):
            return sum(_unlimited(part) for part in parts)
        case Repeat(part, _, most):
            return _unlimited(part) + (most is None or most > 20)
        case Look(part):
            return _unlimited(part)
    return 0


def _width(node: Node) -> tuple[int, int | None]:
    """Return the least and the most characters of a match."""
    match node:
        case Characters():
            return 1, 1
        case Series(parts):
            widths = [_width(part) for part in parts]
            tops = [top for _, top in widths]
            return sum(least for least, _ in widths), _total(tops)
        case Choice(options):
            widths = [_width(part) for part in options]
            tops = [top for _, top in widths]
            return min(least for least, _ in widths), None if None in tops else max(_known(tops))
        case Repeat(part, least, most):
            low, top = _width(part)
            return low * least, None if top is None or most is None else top * most
    return 0, 0


def _known(tops: Sequence[int | None]) -> list[int]:
    return [top for top in tops if top is not None]


def _total(tops: Sequence[int | None]) -> int | None:
    return None if None in tops else sum(_known(tops))


def _anchored(node: Node) -> Node:
    """Return what a whole text must match for `node` to be found in it."""
    if isinstance(node, Choice):
        return Choice(tuple(_anchored(option) for option in node.options))
    parts = list(node.parts) if isinstance(node, Series) else [node]
    if len(parts) == 1 and isinstance(parts[0], Choice):
        return _anchored(parts[0])
    begins = ends = False
    while parts and parts[0] == Edge(True):
        begins, parts = True, parts[1:]
    while parts and parts[-1] == Edge(False):
        ends, parts = True, parts[:-1]
    whole = [*([] if begins else [ANYTHING]), *parts, *([] if ends else [ANYTHING])]
    return whole[0] if len(whole) == 1 else Series(tuple(whole))


def _written(node: Node) -> str:
    match node:
        case Characters(ranges):
            return _class(ranges)
        case Series(parts):
            return "".join(
                f"({_written(part)})" if isinstance(part, Choice) else _written(part)
                for part in parts
            )
        case Choice(options):
            return "|".join(_written(option) for option in options)
        case Repeat(part, least, most):
            if least > bounds.REPETITIONS or (most or 0) > bounds.REPETITIONS:
                raise Inexpressible
            if most == 0:
                return ""
            times = {(0, None): "*", (1, None): "+", (0, 1): "?", (1, 1): ""}.get((least, most))
            if times is None:
                times = f"{{{least},{'' if most is None else most}}}"
            inner = _written(part)
            if not inner:
                return ""
            if not isinstance(part, Characters) or inner.startswith("("):
                inner = f"({inner})"
            # A group of its own: the engine multiplies the repetitions in one.
            return f"({inner}{times})"
    raise Inexpressible


def _class(ranges: Ranges) -> str:
    """Return how one of these characters is written in JSON, as a pattern."""
    plain = without(ranges, ((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F), (0xD800, 0xDFFF)))
    escaped = [end for code, end in ESCAPED.items() if any(a <= code <= b for a, b in ranges)]
    options = []
    if plain:
        if len(plain) == 1 and plain[0][0] == plain[0][1] and chr(plain[0][0]).isalnum():
            return _character(plain[0][0]) if plain[0][0] < 0x7F else f"[{_character(plain[0][0])}]"
        spans = [_character(a) if a == b else f"{_character(a)}-{_character(b)}" for a, b in plain]
        options.append(f"[{''.join(spans)}]")
    if escaped:
        options.append(f"[\\x5C][{''.join(escaped)}]")
    if not options:
        raise Inexpressible
    return options[0] if len(options) == 1 and plain else f"({'|'.join(options)})"


def _character(code: int) -> str:
    if code < 0x7F and chr(code).isalnum():
        return chr(code)
    if code <= 0xFF:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
