"""Citations: the numbers of passages in an answer, checked while it is being written.

`[3]`, `[1, 2]`, `[2-4]` and `[1][2]` are citations, also with full-width signs. What stands in code
is none, nor is an index such as `a[1]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

OPEN, CLOSE = r"[\[［【]", r"[\]］】]"
NUMBER = r"\d{1,3}"
BETWEEN = r"\s*[,;，、；–-]\s*"
CITATION = re.compile(
    rf"{OPEN}\s*\^?({NUMBER}(?:{BETWEEN}\^?{NUMBER})*)\s*(?:†[^\[\]【】［］\n]{{0,40}})?{CLOSE}"
)
BEGUN = re.compile(rf"{OPEN}[\s\d^,;，、；–-]*(?:†[^\[\]【】［］\n]*)?")
"""What may still become a citation."""
LONGEST = 80
"""Characters of one; what is longer is none."""
RANGE = 20
"""Numbers that a range may stand for."""
NEXT = re.compile(r"[`\n\[［【]|[ \t]+")
FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?(`{3,}|~{3,})[^`\n]*\n")
FENCE_BEGUN = re.compile(
    r"[ \t>]*(?:(?:[-*+]|\d{1,3}[.)]?)[ \t]*)?(?:`{0,2}|`{3,}[^`\n]*|~{0,2}|~{3,}[^\n]*)"
)
SPAN_LONGEST = 400
"""Characters of code within a line; more are not waited for."""
SPAN = re.compile(rf"(`+)(?!`)[^\n]{{1,{SPAN_LONGEST}}}?(?<!`)\1(?!`)")
INDEXED = re.compile(r"(?:^|\W)(?:[A-Za-z]|\w*_\w*)\Z", re.ASCII)
"""What is before an index: a variable's name of one letter, or with an underscore."""
KEPT = 64
"""Characters that are looked at for that."""
LINKED = re.compile(r"\(")
"""Behind a link's text."""

INSIDE = re.compile(rf"{OPEN}[\s\d^,;，、；–-]*\Z")
MARK = "…"
"""Stands for what is removed from within brackets: what is left must not become a citation."""

Rewrite = Callable[[Sequence[int]], str]


class CitationReader:
    """Rewrites the citations in a text that comes in pieces."""

    def __init__(self, rewrite: Rewrite) -> None:
        """`rewrite` is given the numbers in brackets, and returns what stands in their place."""
        self._rewrite = rewrite
        self._held = ""
        """What cannot be told yet."""
        self._before = ""
        """The end of what was, as it was written."""
        self._line_begins = True
        self._fence = ""
        """What ends the block of code; empty outside."""
        self._chain = ""
        """Whether a `citation` or an `index` has just ended."""
        self._space = ""
        """What stood before citations that were removed just now."""
        self._swallows = False
        """Whether spaces are left out: those behind what was removed from the start of a line."""

    def feed(self, text: str, *, last: bool = False) -> str:
        """Return what is certain by now."""
        self._held += text
        out: list[str] = []
        while self._held:
            step = self._step(last)
            if step is None:
                break
            size, shown = step
            if shown:
                self._space = ""
            self._before = (self._before + self._held[:size])[-KEPT:]
            self._held = self._held[size:]
            out.append(shown)
        return "".join(out)

    def _step(self, last: bool) -> tuple[int, str] | None:
        """Return how many characters are taken, and what is shown for them; None to wait."""
        held = self._held
        if self._fence:
            return self._code_line(last)
        if self._line_begins:
            if found := FENCE.match(held):
                self._fence = found[1]
                return found.end(), found[0]
            if FENCE_BEGUN.fullmatch(held) and not last:
                return None
            self._line_begins = False
        found = NEXT.search(held)
        if found is None or found.start():
            size = found.start() if found else len(held)
            self._chain, self._swallows = "", False
            return size, held[:size]
        if held[0] == "\n":
            self._line_begins, self._chain = True, ""
            return 1, "\n"
        return self._code_span(last) if held[0] == "`" else self._brackets(found, last)

    def _code_line(self, last: bool) -> tuple[int, str] | None:
        """Take a line of a block of code, or the part of it that there is."""
        line, end, _ = self._held.partition("\n")
        bare = line.strip(" \t>")
        closes = bare.startswith(self._fence) and not bare.strip(self._fence[0])
        if end or last:
            if closes and self._line_begins:
                self._fence = ""
            self._line_begins = True
            return len(line + end), line + end
        if self._line_begins and not bare.strip(self._fence[0]):
            return None  # may become the end
        self._line_begins = False
        return len(line), line

    def _code_span(self, last: bool) -> tuple[int, str] | None:
        """Take code within a line; signs that open none are taken as they are."""
        held = self._held
        self._chain, self._swallows = "", False
        ticks = len(held) - len(held.lstrip("`"))
        waits = not last and "\n" not in held and len(held) <= 2 * ticks + SPAN_LONGEST
        if found := SPAN.match(held):
            return None if waits and found.end() == len(held) else (found.end(), found[0])
        return None if waits else (ticks, held[:ticks])

    def _brackets(self, found: re.Match[str], last: bool) -> tuple[int, str] | None:
        """Take a citation with the spaces before it, or what is none."""
        held, space = self._held, 0
        if held[0] in " \t":
            space = found.end()
            if space == len(held) and not last:
                return None
            if not re.match(OPEN, held[space:]):
                if self._swallows:
                    return space, ""
                self._chain = ""
                return space, held[:space]
        cited = CITATION.match(held, space)
        numbers = _numbers(cited[1]) if cited else []
        if cited is None or cited.end() - space > LONGEST or (len(numbers) > 1 and 0 in numbers):
            if not last and len(held) - space < LONGEST and BEGUN.fullmatch(held, space):
                return None
            self._chain, self._swallows = "", False
            return space + 1, held[: space + 1]
        if cited.end() == len(held) and not last:
            return None  # what is behind it tells whether it is a link
        indexed = not space and (
            self._chain == "index" or (not self._chain and bool(INDEXED.search(self._before)))
        )
        if indexed or LINKED.match(held, cited.end()):
            self._chain, self._swallows = "index", False
            return cited.end(), held[: cited.end()]
        self._chain = "citation"
        shown = self._rewrite(numbers) or (MARK if INSIDE.search(self._before) else "")
        if shown:
            self._swallows = False
            return cited.end(), (held[:space] or self._space) + shown
        self._space = self._space or held[:space]
        begins = not self._before or self._before.endswith("\n")
        self._swallows = self._swallows or begins
        return cited.end(), ""


@dataclass
class Citations:
    """The citations of an answer so far."""

    given: int
    """How many passages there are; they are numbered from 1 on."""
    cited: list[int] = field(default_factory=list)
    """Those that are cited, in the order of the answer."""
    removed: int = 0
    """How many numbers pointed nowhere, and were removed."""

    def __post_init__(self) -> None:
        self._reader = CitationReader(self._checked)

    def feed(self, text: str, *, last: bool = False) -> str:
        """Return what is certain by now of an answer, without citations that point nowhere."""
        return self._reader.feed(text, last=last)

    def _checked(self, numbers: Sequence[int]) -> str:
        good = [number for number in numbers if 1 <= number <= self.given]
        self.removed += len(numbers) - len(good)
        self.cited += [number for number in dict.fromkeys(good) if number not in self.cited]
        return f"[{', '.join(map(str, good))}]" if good else ""


def without_own(text: str) -> str:
    """Return a passage with its own references in round brackets: they are not our numbers."""
    reader = CitationReader(lambda numbers: f"({', '.join(map(str, numbers))})")
    return reader.feed(text, last=True)


def _numbers(text: str) -> list[int]:
    """Return the numbers of a citation, those within ranges as well."""
    found: list[int] = []
    for part in re.split(r"\s*[,;，、；]\s*", text.replace("^", "")):
        first, *others = (int(number) for number in re.findall(r"\d+", part))
        end = others[-1] if others else first
        # A long range is a span of something else: its ends are enough to see that.
        found += range(first, end + 1) if first <= end < first + RANGE else [first, end]
    return found
