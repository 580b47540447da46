"""Indexes of documents: small ones to search in, and what is in them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from runtime.errors import AppError
from runtime.search.filters import Filters
from runtime.search.index import Index
from runtime.search.passages import passages
from runtime.search.section import exported
from runtime.search.writer import Writer

DIMENSIONS = 12


@dataclass(frozen=True)
class Paper:
    """A document to be indexed."""

    path: str
    text: str
    kind: str = "text"
    title: str = ""
    date: str = ""


@dataclass(frozen=True)
class Cut:
    """A piece of one."""

    begin: int
    end: int
    kind: str = "text"
    date: str = ""
    heading: str = ""
    page: int = 0
    head: str = ""


LIBRARY = (
    Paper(
        "diary/kyoto.md",
        "昨日は京都へ行った。雨が降っていた。\n金閣寺の前で傘を買った。\nとても寒かった。",
        "diary",
        "京都",
        "2024-05-03",
    ),
    Paper(
        "notes/garten.txt",
        "Das Mädchen kaufte im Garten zwei Bücher über Öfen.\nDie Häuser standen leer.",
        "note",
        "Garten",
        "2023-11",
    ),
    Paper(
        "notes/dogs.txt",
        "The running dogs chased 1,200 cats through the houses.\nMaedchen Street was quiet.",
        "note",
        "Dogs",
        "2024",
    ),
    Paper("undated.txt", "Nobody knows when the rain began.", title="Undated"),
)


def cuts(paper: Paper) -> list[Cut]:
    """Return a piece for each line."""
    found, begin = [], 0
    for number, line in enumerate(paper.text.split("\n"), 1):
        end = begin + len(line)
        found.append(Cut(begin, end, paper.kind, paper.date, f"Line {number}", number))
        begin = end + 1
    return found


def vectors(count: int, dimensions: int = DIMENSIONS, seed: int = 1) -> list[list[float]]:
    """Return vectors that point anywhere."""
    chance = random.Random(seed)
    return [[chance.gauss(0, 1) for _ in range(dimensions)] for _ in range(count)]


def encoded(
    papers: Sequence[Paper] = LIBRARY,
    *,
    dimensions: int = DIMENSIONS,
    facts: Mapping[str, str] | None = None,
) -> bytes:
    """Return the index of documents, with vectors that point anywhere."""
    writer = Writer(dimensions, facts)
    for number, paper in enumerate(papers):
        pieces = cuts(paper)
        rows = vectors(len(pieces), dimensions, seed=number) if dimensions else []
        writer.add(paper, pieces, rows)
    return b"".join(writer.finish().chunks())


def opened(data: bytes, before: int = 0) -> Index:
    """Return the index in `data`, opened behind so many other bytes of a file."""
    fd = os.memfd_create("index")
    try:
        os.write(fd, bytes(before) + data + b"behind")
        return Lasting(fd, before, len(data), "the index")
    except BaseException:
        os.close(fd)
        raise


def survey(data: bytes) -> None:
    """Do all that can be done with the index in `data`; raise AppError where it is damaged."""
    index = opened(data)
    vector = [1.0] * index.head.dimensions
    attempts: list[Callable[[], object]] = [
        lambda: index.keywords("京都 雨 garden books dogs cats rain 2024", 10),
        lambda: index.keywords("rain", 10, Filters(kinds=("note",), paths=("*s*",), after="2023")),
        lambda: index.nearest(vector, 10),
        lambda: passages(index, index.keywords("京都 dogs", 9), 5, neighbours=1),
        lambda: index.reach("京都 dogs") + index.rarest + index.usual(vector),
        lambda: [index.text(number) for number in range(min(len(index), 100))],
        lambda: [index.vector(number) for number in range(min(len(index), 100))],
        lambda: sum(map(len, exported(index))),
    ]
    failures = []
    for attempt in attempts:  # one that is refused must not hide the others
        try:
            attempt()
        except AppError as exc:
            failures.append(exc)
    if failures:
        raise failures[0]


class Lasting(Index):
    """An index that closes its file in the end."""

    def __init__(self, fd: int, offset: int, length: int, label: str) -> None:
        super().__init__(fd, offset, length, label)
        self._descriptor = fd

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)
