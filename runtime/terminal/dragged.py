"""Paths in a typed line: what a terminal writes when a file is dragged into it.

That is the path, with blanks escaped or the whole in quotes, or a file:// URL; a blank follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from runtime.media.files import SUFFIXES

WORD = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|(?:\\.|[^\s'"\\])+""")
"""A word in quotes, or one whose blanks are escaped."""
ESCAPED = re.compile(r"\\(.)")
MARKS = ".,;:!?)"
"""What may follow a name in a sentence."""
STARTS = ("/", "~/", "./", "../", "file://")


@dataclass(frozen=True)
class Named:
    """A file that is named in a line."""

    name: str
    begin: int
    end: int
    dragged: bool
    """Whether it is a path, not just a name within a sentence."""


def files_in(line: str) -> Sequence[Named]:
    """Return what could be the names of pictures and sounds in a line."""
    return [*_files_in(line)]


def alone(line: str) -> Sequence[str]:
    """Return what a line could be the path of, if it may be nothing but one.

    One word behind a slash may as well be a command.
    """
    whole = line.strip()
    if whole.startswith("//") or not _is_path(whole) or "\0" in whole:
        return []
    match = WORD.fullmatch(whole)
    name = _plain(whole) if match else whole
    if not match and not _is_one_path(whole) and whole.lower().endswith(SUFFIXES):
        return []  # several
    return [name] if re.search("[/.]", name[1:]) else []


def leading(text: str) -> Iterator[tuple[str, str]]:
    """Yield what could be the path that a text begins with, each with what follows it."""
    match = WORD.match(text)
    if match and re.search(r"""[\\'"]""", match[0]) and (name := _plain(match[0])):
        yield name, text[match.end() :].strip()
        return
    blanks = [*re.finditer(r"\s+|$", text)]
    ends = [one for one in blanks if text[: one.start()].lower().endswith(SUFFIXES)]
    for end in reversed(ends or blanks[:1]):
        yield text[: end.start()], text[end.end() :]


def without(line: str, named: Sequence[Named]) -> str:
    """Return the line without these paths."""
    for one in reversed(named):
        line = f"{line[: one.begin].rstrip()} {line[one.end :].lstrip()}"
    return line.strip()


def _files_in(line: str) -> Iterator[Named]:
    whole = line.strip()
    if _is_one_path(whole):
        begin = line.index(whole)
        yield Named(whole, begin, begin + len(whole), True)
        return
    for match in WORD.finditer(line):
        word, end = match[0], match.end()
        if word[0] not in "'\"":
            kept = word.rstrip(MARKS)
            end -= len(word) - len(kept)
            word = kept
        name = _plain(word)
        if name and name.lower().endswith(SUFFIXES) and "\0" not in name:
            yield Named(name, match.start(), end, _is_path(word))


def _is_one_path(line: str) -> bool:
    """Return whether a line is one path with blanks that are not escaped, as some paste it."""
    if not (line.startswith(STARTS[:-1]) and line.lower().endswith(SUFFIXES) and " " in line):
        return False
    endings = sum(line.lower().count(suffix) for suffix in SUFFIXES)
    return endings == 1 and not re.search(r"""[\\'"]""", line)


def _is_path(word: str) -> bool:
    return word.strip("'\"").startswith(STARTS)


def _plain(word: str) -> str:
    """Return the path that a word stands for."""
    if word.startswith("'"):
        name = word[1:-1]
    elif word.startswith('"'):
        name = ESCAPED.sub(r"\1", word[1:-1])
    else:
        name = ESCAPED.sub(r"\1", word)
    if name.startswith("file://"):
        try:
            parts = urlsplit(name)
        except ValueError:
            return ""
        return unquote(parts.path) if parts.netloc in ("", "localhost") else ""
    return name
