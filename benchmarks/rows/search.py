"""Search: words and vectors in 100,000 pieces, against SQLite's FTS5 and numpy, on one core."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from benchmarks.lab import Lab
from benchmarks.measure import interleave, run
from benchmarks.report import Row
from runtime.retrieval.library import Library
from runtime.search.index import Index
from runtime.search.tokens import tokens
from runtime.search.writer import Writer

PIECES, FEW, SMALL = 100_000, 1000, 2000
DIMENSIONS = 384  # MiniLM's, and most small models'
WORDS, VOCABULARY = 60, 50_000  # of a piece, and of all: about 400 characters
QUESTIONS, QUESTION_WORDS = 20, 6
HITS, SHOWN = 50, 8
MILLISECONDS, MEMORY = 30, 30
FLAT, FASTER, AS_FAST = 1.25, 0.2, 1.0
LETTERS = "bcdfghjklmpqvz"
OPEN = """
import json, os, sys
import runtime.search.index
def held():
    text = open("/proc/self/smaps_rollup").read()
    return next(int(line.split()[1]) for line in text.splitlines() if "Anonymous" in line) / 1000
before = held()
index = runtime.search.index.Index(os.open(sys.argv[1], os.O_RDONLY), 0, int(sys.argv[2]))
opened = held()
question, vector = json.loads(sys.argv[3])
index.keywords(question, 50), index.nearest(vector, 50)
print(opened - before, held() - before)
"""


@dataclass(frozen=True)
class Paper:
    """A document, which is its own only piece."""

    path: str
    text: str
    kind: str = "text"
    title: str = ""
    date: str = "2024-05-03"
    heading: str = ""
    page: int = 0
    head: str = ""
    begin: int = 0

    @property
    def end(self) -> int:
        """Return where it ends."""
        return len(self.text)


@dataclass(frozen=True)
class Known:
    """An embedder that takes no time: the vectors of questions are known."""

    vectors: Mapping[str, list[float]]
    dimensions: int = DIMENSIONS
    identity: str = "known"

    def query(self, text: str) -> list[float]:
        """Return the vector of a question."""
        return self.vectors[text]

    def passages(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """Return those of texts."""
        return [self.vectors[text] for text in texts]


def measure(lab: Lab) -> list[Row]:
    """Search an index of synthetic texts and vectors, and the peers' of the same."""
    pieces = SMALL if lab.small else PIECES
    texts = list(_texts(pieces))
    matrix = np.random.default_rng(1).standard_normal((pieces, DIMENSIONS), np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    path, seconds = _written(lab.work / "many", texts, matrix)
    few, _ = _written(lab.work / "few", texts[:FEW], matrix[:FEW])
    questions = [" ".join(_words(1000 + i, QUESTION_WORDS)) for i in range(QUESTIONS)]
    vectors = np.random.default_rng(2).standard_normal((QUESTIONS, DIMENSIONS), np.float32)
    asked = list(zip(questions, vectors.tolist(), strict=True))
    index = _opened(path)
    with _one_core():
        rows = [
            _both(lab, index, asked, pieces),
            _by_vectors(lab, index, matrix, vectors, pieces),
            _by_words(lab, index, texts, questions, pieces),
            _opening(lab, path, few, pieces),
        ]
    return [
        *rows,
        *_memory(path, asked[0], pieces),
        Row(
            f"index {pieces:,} pieces, without embedding them: each",
            "ms",
            (seconds / pieces * 1e3,),
        ),
    ]


def _both(lab: Lab, index: Index, asked: Sequence[tuple[str, list[float]]], pieces: int) -> Row:
    library = Library(index, Known(dict(asked)))

    def search() -> None:
        for question, _ in asked:
            library.find(question, SHOWN)

    (ours,) = interleave(lab.rounds(7), lambda: _each(search))
    what = f"search by words and vectors in {pieces:,} pieces, up to {SHOWN} passages"
    return Row(what, "ms", ours, target=MILLISECONDS)


def _by_vectors(
    lab: Lab, index: Index, matrix: np.ndarray, vectors: np.ndarray, pieces: int
) -> Row:
    asked = vectors.tolist()

    def ours() -> list[set[int]]:
        return [{hit.piece for hit in index.nearest(vector, 10)} for vector in asked]

    def peer() -> list[set[int]]:
        found = []
        for vector in vectors:
            scores = matrix @ vector
            best = np.argpartition(scores, -10)[-10:]
            found.append(set(best[np.argsort(-scores[best])].tolist()))
        return found

    same = statistics.mean(len(a & b) / 10 for a, b in zip(ours(), peer(), strict=True))
    figures = interleave(lab.rounds(7), lambda: _each(ours), lambda: _each(peer))
    return Row(
        f"nearest of {pieces:,} vectors of {DIMENSIONS}", "ms", *figures,
        "numpy, 4 bytes a number", AS_FAST, note=f"{same:.1%} of its 10 best are ours",
    )  # fmt: skip


def _by_words(
    lab: Lab, index: Index, texts: Sequence[str], questions: Sequence[str], pieces: int
) -> Row:
    database = sqlite3.connect(":memory:")
    database.execute("create virtual table found using fts5(text, content='', tokenize='ascii')")
    rows = ((i, " ".join(tokens(text))) for i, text in enumerate(texts, 1))
    database.executemany("insert into found(rowid, text) values (?, ?)", rows)
    database.execute("insert into found(found) values ('optimize')")
    wanted = [" OR ".join(f'"{token}"' for token in tokens(question)) for question in questions]
    ask = f"select rowid from found where found match ? order by rank limit {HITS}"

    def ours() -> None:
        for question in questions:
            index.keywords(question, HITS)

    def peer() -> None:
        for question in wanted:
            database.execute(ask, [question]).fetchall()

    figures = interleave(lab.rounds(5), lambda: _each(ours), lambda: _each(peer))
    what = f"pieces by {QUESTION_WORDS} words in {pieces:,}, BM25"
    return Row(what, "ms", *figures, f"SQLite {sqlite3.sqlite_version}, FTS5", FASTER)


def _opening(lab: Lab, many: Path, few: Path, pieces: int) -> Row:
    def opening(path: Path) -> Callable[[], float]:
        def measured() -> float:
            begin = time.perf_counter()
            for _ in range(QUESTIONS):
                os.close(_open(path)[0])
            return (time.perf_counter() - begin) / QUESTIONS * 1e3

        return measured

    figures = interleave(lab.rounds(9), opening(many), opening(few))
    return Row(f"open {pieces:,} pieces", "ms", *figures, f"{FEW:,} pieces", FLAT)


def _memory(path: Path, asked: tuple[str, list[float]], pieces: int) -> list[Row]:
    size = str(path.stat().st_size)
    done = run([sys.executable, "-c", OPEN, path, size, json.dumps(asked)])
    opened, searched = (float(word) for word in done.out.split())
    return [
        Row(f"memory of its own, {pieces:,} pieces open", "MB", (opened,), target=MEMORY),
        Row("the same after a search", "MB", (searched,), target=MEMORY),
    ]


def _each(search: Callable[[], object]) -> float:
    """Return the milliseconds that a question takes of a search for all of them."""
    begin = time.perf_counter()
    search()
    return (time.perf_counter() - begin) / QUESTIONS * 1e3


@contextmanager
def _one_core() -> Iterator[None]:
    """Let all threads have one core, those that numpy has started too."""
    before = os.sched_getaffinity(0)
    _bind({max(before)})
    try:
        yield
    finally:
        _bind(before)


def _bind(cores: set[int]) -> None:
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), cores)


def _open(path: Path) -> tuple[int, Index]:
    fd = os.open(path, os.O_RDONLY)
    return fd, Index(fd, 0, os.fstat(fd).st_size)


def _opened(path: Path) -> Index:
    return _open(path)[1]


def _written(path: Path, texts: Sequence[str], matrix: np.ndarray) -> tuple[Path, float]:
    """Write an index; return its path, and the seconds that it took."""
    begin = time.process_time()
    writer = Writer(DIMENSIONS)
    for number, (text, row) in enumerate(zip(texts, matrix, strict=True)):
        paper = Paper(f"{number}.txt", text)
        writer.add(paper, [paper], [row.tolist()])
    with open(path, "wb") as file:
        file.writelines(writer.finish().chunks())
    return path, time.process_time() - begin


def _texts(count: int) -> Iterator[str]:
    """Yield texts of words that are as frequent as those of languages are."""
    for number in range(count):
        yield " ".join(_words(number, WORDS))


FREQUENCIES = list(accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))


def _words(seed: int, count: int) -> list[str]:
    chosen = random.Random(seed).choices(range(VOCABULARY), cum_weights=FREQUENCIES, k=count)
    return [_word(rank) for rank in chosen]


def _word(rank: int) -> str:
    letters = ""
    while rank or not letters:
        rank, letter = divmod(rank, len(LETTERS))
        letters += LETTERS[letter]
    return f"q{letters}"
