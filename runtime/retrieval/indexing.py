"""Indexing: a folder of documents read, cut and written as an index, with vectors if they are made.

What a program carries and what it makes of a folder at run time is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runtime.documents import unread
from runtime.documents.chunking import Chunking
from runtime.documents.cutting import Piece, cut
from runtime.documents.document import Document, Unread
from runtime.documents.folder import walk
from runtime.documents.reading import READERS, Reader
from runtime.errors import UsageError
from runtime.host.progress_bar import progress
from runtime.retrieval.finding.chance import Watch
from runtime.retrieval.finding.probes import PROBES
from runtime.retrieval.library import TextEmbedder
from runtime.search import writer
from runtime.search.content import Document as Indexed
from runtime.search.index import Index
from runtime.search.writer import Writer
from runtime.units import counted

EMBEDDER = "embedder"
"""Among the facts of an index: the identity of what made its vectors."""
BATCH = 256
"""Pieces whose vectors are computed at once, so that those of short documents are, too."""


@dataclass
class Reading:
    """What was read of a folder, cut into pieces."""

    documents: list[tuple[Document, Sequence[Piece]]] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)

    @property
    def pieces(self) -> int:
        """Return how many pieces all documents have."""
        return sum(len(pieces) for _, pieces in self.documents)

    def summary(self) -> str:
        """Return what there is, in words."""
        read = f"{counted(len(self.documents), 'document')} in {counted(self.pieces, 'piece')}"
        left = sum(one.count for one in self.unread)
        return f"{read}; {counted(left, 'file')} not read" if left else read


def read_folder(
    folder: Path,
    chunking: Chunking,
    readers: Mapping[str, Reader] = READERS,
    say: Callable[[str], None] = lambda _: None,
) -> Reading:
    """Read and cut all documents of a folder; `say` gets lines about those that cannot be read.

    Raise UsageError where there is no such folder, or nothing in it can be read.
    """
    found = Reading()
    with progress(f"reading {folder}") as update:
        for one in walk(folder, readers, update):
            if isinstance(one, Unread):
                found.unread.append(one)
            elif pieces := cut(one, chunking):
                found.documents.append((one, pieces))
            else:
                found.unread.append(Unread(one.path, "it has no text to be found"))
    if not found.documents:
        first = f": {found.unread[0].path}: {found.unread[0].reason}" if found.unread else ""
        raise UsageError(
            f"nothing in {folder} can be read{first}",
            hint=f"name a folder with documents ({' '.join(readers)})",
        )
    for line in unread.lines(found.unread):
        say(line)
    return found


def indexed(
    reading: Reading,
    embedder: TextEmbedder | None = None,
    facts: Mapping[str, str] | None = None,
    kept: tuple[Index, Iterable[Indexed]] | None = None,
) -> Writer:
    """Return an index of what was read, with vectors if there is an embedder.

    `kept` are documents of another index, to come before them. Raise AppError if the embedder
    fails.
    """
    told = {EMBEDDER: embedder.identity} if embedder else {}
    watch = Watch([embedder.query(probe) for probe in PROBES]) if embedder else None
    made = Writer(embedder.dimensions if embedder else 0, {**told, **(facts or {})}, watch)
    if kept:
        writer.copy(*kept, made)
    if embedder is None:
        for document, pieces in reading.documents:
            made.add(document, pieces)
        return made
    with progress("computing vectors") as update:
        _add_with_vectors(made, reading, embedder, update)
    return made


def made_by(index: Index, embedder: TextEmbedder) -> bool:
    """Tell whether the vectors in an index can be compared with those that `embedder` makes."""
    return bool(index.head.dimensions) and index.head.facts.get(EMBEDDER) == embedder.identity


def embedded_text(document: Document, piece: Piece) -> str:
    """Return what the vector of a piece is computed from: its text, and what it is about."""
    return piece.indexed if piece.heading else f"{document.title}\n{piece.text}"


def _add_with_vectors(
    made: Writer,
    reading: Reading,
    embedder: TextEmbedder,
    update: Callable[[int, int], None],
) -> None:
    total, done = reading.pieces, 0
    batch: list[tuple[Document, Sequence[Piece]]] = []
    for number, one in enumerate(reading.documents, 1):
        batch.append(one)
        if sum(len(pieces) for _, pieces in batch) < BATCH and number < len(reading.documents):
            continue
        texts = [embedded_text(document, piece) for document, pieces in batch for piece in pieces]
        vectors: list[Sequence[float]] = []
        for begin in range(0, len(texts), BATCH):
            vectors += embedder.passages(texts[begin : begin + BATCH])
            done += len(texts[begin : begin + BATCH])
            update(done, total)
        for document, pieces in batch:
            made.add(document, pieces, vectors[: len(pieces)])
            del vectors[: len(pieces)]
        batch = []
