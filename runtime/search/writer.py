"""Writer of an index: documents and their pieces in, the bytes of a section out.

The same documents, pieces and vectors in the same order give the same bytes.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from runtime import bounds
from runtime.errors import UsageError
from runtime.search import loops, pool
from runtime.search.content import Document, SourceDocument, SourcePiece, Vector, VectorWatch
from runtime.search.index import Index
from runtime.search.layout import (
    AREA_ALIGNMENT,
    AREAS,
    DOCUMENT,
    HEAD_ALIGNMENT,
    PIECE,
    Area,
    Head,
)
from runtime.search.spool import Spool
from runtime.search.text_store import TextWriter
from runtime.search.tokens import RULES, tokens
from runtime.search.word_lists import WordLists
from runtime.units import gigabytes

SCALE = struct.Struct("<f")


class Numbered:
    """Texts with a number each, the same for the same text."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """Return the number of a text."""
        return self._numbers.setdefault(text, len(self._numbers))

    def encode(self) -> bytes:
        """Return the texts in the order of their numbers."""
        return pool.encode(self._numbers)


class Writer:
    """An index that is being made."""

    def __init__(
        self,
        dimensions: int = 0,
        facts: Mapping[str, str] | None = None,
        watch: VectorWatch | None = None,
    ) -> None:
        """Make one whose vectors have `dimensions`, 0 for none.

        `facts` are what else is to be known about it, such as which model made the vectors;
        `watch` sees all vectors, and has facts of its own in the end.
        """
        if dimensions > bounds.VECTOR_DIMENSIONS:
            raise UsageError(
                f"vectors of {dimensions:,} dimensions cannot be indexed, at most "
                f"{bounds.VECTOR_DIMENSIONS:,}",
                hint="use another embedding model",
            )
        self.dimensions = dimensions
        self._facts = dict(facts or {})
        self._width = -(-dimensions // AREA_ALIGNMENT) * AREA_ALIGNMENT
        self._watch = watch
        self._words = WordLists()
        self._rows = bytearray()
        self._scales = bytearray()
        self._documents: list[tuple[int, ...]] = []
        self._pieces = 0
        self._paths, self._labels = Numbered(), Numbered()
        self._kinds, self._dates = Numbered(), Numbered()
        self._texts = Spool()
        self._vectors = Spool()
        self._store = TextWriter(self._texts.write)

    def add(
        self,
        document: SourceDocument,
        pieces: Sequence[SourcePiece],
        vectors: Sequence[Sequence[float] | Vector] = (),
    ) -> None:
        """Append a document with its pieces; each has a vector, unless there are none at all."""
        if len(vectors) != (len(pieces) if self.dimensions else 0):
            raise ValueError(f"{len(pieces)} pieces with {len(vectors)} vectors")
        encoded = document.text.encode()
        if len(encoded) > bounds.INDEX_TEXT:
            raise UsageError(
                f"{document.path} has {gigabytes(len(encoded))} of text, at most "
                f"{gigabytes(bounds.INDEX_TEXT)} can be indexed",
                hint="split it into several files",
            )
        row = (
            self._paths(document.path), self._labels(document.title), self._kinds(document.kind),
            self._dates(document.date), self._pieces, self._store.size, len(encoded),
        )  # fmt: skip
        self._documents.append(row)
        self._store.add(encoded)
        places = _byte_places(document.text)
        for piece in pieces:
            self._add_piece(document, piece, places)
        for vector in vectors:
            self._add_vector(vector)

    def _add_piece(
        self, document: SourceDocument, piece: SourcePiece, places: Sequence[int] | range
    ) -> None:
        found_by = [piece.heading, piece.head, document.text[piece.begin : piece.end], piece.date]
        if document.title not in piece.heading:
            found_by.append(document.title)
        self._words.add(token for text in found_by for token in tokens(text))
        self._rows += PIECE.pack(
            len(self._documents) - 1, self._kinds(piece.kind), self._dates(piece.date),
            self._labels(piece.heading), self._labels(piece.head), piece.page,
            places[piece.begin], places[piece.end], piece.begin, piece.end,
        )  # fmt: skip
        self._pieces += 1

    def _add_vector(self, vector: Sequence[float] | Vector) -> None:
        if not isinstance(vector, Vector):
            if len(vector) != self.dimensions:
                raise ValueError(f"a vector of {len(vector)} dimensions, not {self.dimensions}")
            if self._watch:
                self._watch.see(vector)
            vector = loops.row(vector, self._width)
        elif self._watch:
            self._watch.see([vector.scale * number for number in array("b", vector.numbers)])
        self._scales += SCALE.pack(vector.scale)
        self._vectors.write(vector.numbers)

    def finish(self) -> Made:
        """Return the index; it takes no more documents then."""
        blocks = self._store.finish()
        terms = self._words.terms()
        content: Mapping[str, bytes | Spool] = {
            "documents": b"".join(DOCUMENT.pack(*row) for row in self._documents),
            "pieces": bytes(self._rows),
            "paths": self._paths.encode(),
            "labels": self._labels.encode(),
            "kinds": self._kinds.encode(),
            "dates": self._dates.encode(),
            "blocks": blocks,
            "texts": self._texts,
            "terms": pool.encode(terms),
            **self._words.areas(),
            "scales": bytes(self._scales),
            "vectors": self._vectors,
        }
        counts = {
            "documents": len(self._documents), "pieces": self._pieces, "terms": len(terms),
            "tokens": self._words.tokens, "dimensions": self.dimensions,
        }  # fmt: skip
        if self._watch and self._pieces:
            self._facts |= self._watch.facts()
        areas = [content[name] for name in AREAS]
        head = _placed(counts, self._facts, [len(area) for area in areas])
        return Made([head, *areas])


class Made:
    """An index that is to be written once."""

    def __init__(self, parts: Sequence[bytes | Spool]) -> None:
        """Take its head and its areas, without what lies between them."""
        self._parts = parts
        self.size = 0
        for part in parts:
            self.size += -self.size % AREA_ALIGNMENT + len(part)

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes."""
        at = 0
        for part in self._parts:
            padding = bytes(-at % AREA_ALIGNMENT)
            at += len(padding) + len(part)
            yield padding
            yield from part.chunks() if isinstance(part, Spool) else [part]


def _placed(counts: Mapping[str, int], facts: Mapping[str, str], lengths: Sequence[int]) -> bytes:
    """Return the head of an index whose areas have these lengths."""
    size = HEAD_ALIGNMENT
    while True:  # where the areas begin depends on how long the head is, and it on that
        begins = accumulate(
            lengths[:-1], lambda at, length: -(-(at + length) // AREA_ALIGNMENT) * AREA_ALIGNMENT,
            initial=size,
        )  # fmt: skip
        areas = {name: Area(*place) for name, *place in zip(AREAS, begins, lengths, strict=True)}
        head = Head(**counts, rules=RULES, facts=facts, areas=areas).encode()
        if len(head) <= size:
            return head
        size = len(head)


def _byte_places(text: str) -> Sequence[int] | range:
    """Return where each character of a text begins in its bytes, and the end."""
    if text.isascii():
        return range(len(text) + 1)
    return list(accumulate((len(letter.encode()) for letter in text), initial=0))


@dataclass(frozen=True)
class _Copy:
    """A document with its text, as a writer takes it."""

    path: str
    kind: str
    title: str
    date: str
    text: str


def copy(index: Index, documents: Iterable[Document], writer: Writer) -> None:
    """Append documents of `index` to another that is being made, with their pieces and vectors.

    Its vectors must be of the same model. Where it has none, those of `index` are left out.
    """
    for document in documents:
        text = index.document_text(document.number)
        writer.add(
            _Copy(document.path, document.kind, document.title, document.date, text),
            [index.piece(number) for number in document.pieces],
            [index.vector(number) for number in document.pieces] if writer.dimensions else [],
        )
