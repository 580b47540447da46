"""Filters: what a search is limited to, written between the words of a question.

`kind:diary path:trips/*.md after:2024-05 before:2025`: of each name one that is wanted, from the
day on that `after:` begins with, and before the day that `before:` begins with.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import unicodedata
from dataclasses import dataclass

from runtime import bounds
from runtime.errors import UsageError

WORD = re.compile(r"""(?:^|(?<=\s))(kind|path|after|before):("[^"]*"|\S+)(?=\s|$)""")
DATE = re.compile(r"(\d{4})(?:-(\d\d?)(?:-(\d\d?))?)?")


@dataclass(frozen=True)
class Filters:
    """What pieces must be to be found."""

    kinds: tuple[str, ...] = ()
    """Names, one of which a piece's kind must be; none for any."""
    paths: tuple[str, ...] = ()
    """Patterns with * and ?, or parts of paths, one of which must fit; none for any."""
    after: str = ""
    """A day, a month or a year; pieces that end before it begins are left out."""
    before: str = ""
    """Likewise; pieces that do not begin before it are left out."""

    def __bool__(self) -> bool:
        return self != Filters()

    def takes_kind(self, kind: str) -> bool:
        """Tell whether pieces of a kind are wanted."""
        return not self.kinds or _plain(kind) in map(_plain, self.kinds)

    def takes_path(self, path: str) -> bool:
        """Tell whether documents of this path are wanted."""
        path = _plain(path)
        return not self.paths or any(
            fnmatch.fnmatchcase(path, pattern) if set(pattern) & set("*?[") else pattern in path
            for pattern in map(_plain, self.paths)
        )

    def takes_date(self, date: str) -> bool:
        """Tell whether a piece of this day, month or year is wanted; one without is not."""
        if not (self.after or self.before):
            return True
        return bool(
            date
            and (not self.after or last_day(date) >= first_day(self.after))
            and (not self.before or first_day(date) < first_day(self.before))
        )


def parse(text: str) -> tuple[str, Filters]:
    """Return a question without the filters in it, and those; raise UsageError on a bad date."""
    found: dict[str, list[str]] = {"kind": [], "path": [], "after": [], "before": []}
    for name, value in WORD.findall(text):
        found[name].append(value.strip('"'))
    for name, values in found.items():
        if len(values) > bounds.QUESTION_FILTERS:
            raise UsageError(
                f"a question has {len(values)} filters '{name}:', at most "
                f"{bounds.QUESTION_FILTERS}",
                hint="use fewer, or patterns such as path:trips/*",
            )
    for name in ("after", "before"):
        for value in found[name]:
            if not DATE.fullmatch(value):
                raise UsageError(
                    f"{name}:{value} has no date",
                    hint=f"write it as {name}:2024, {name}:2024-05 or {name}:2024-05-03",
                )
    filters = Filters(
        tuple(found["kind"]),
        tuple(found["path"]),
        max(found["after"], key=first_day, default=""),
        min(found["before"], key=first_day, default=""),
    )
    return " ".join(WORD.sub("", text).split()) if filters else text, filters


def first_day(date: str) -> tuple[int, int, int]:
    """Return year, month and day that a date begins with."""
    year, month, day = _parts(date)
    return year, month or 1, day or 1


def last_day(date: str) -> tuple[int, int, int]:
    """Return year, month and day that a date ends with."""
    year, month, day = _parts(date)
    return year, month or 12, day or 31


def _parts(date: str) -> tuple[int, int, int]:
    found = DATE.match(date)
    year, month, day = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return year, month, day


@functools.lru_cache(1024)  # of what was asked for: it is compared with every document
def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
