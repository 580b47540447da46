"""Index: documents, pieces and their search, read where they lie in a file."""

from __future__ import annotations

import functools
import math
import os
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from runtime import bounds
from runtime.errors import DAMAGED, ModelError, PayloadError
from runtime.host.mmap_file import MappedRange
from runtime.search import loops
from runtime.search.content import Document, Hit, Piece, Vector
from runtime.search.filters import Filters
from runtime.search.layout import DOCUMENT, FIELDS, HEAD_ALIGNMENT, PIECE, Head, damaged
from runtime.search.loops import Bits, Scores
from runtime.search.pool import Pool
from runtime.search.text_store import TextReader
from runtime.search.tokens import RULES, tokens
from runtime.search.word_lists import COUNT, PLACE

SCALE = struct.Struct("<f")
PIECE_WIDTH = PIECE.size // 4
ALL = Filters()
COMPOUNDED = re.compile("[a-z]{5,}")
"""Stems that are looked for within longer words, too: Quark in Magerquark."""
COMPOUNDS = 32  # of a question so many words, and of each so many others that contain it
PART = 0.5  # what such a word is worth, beside the word itself
SAMPLE = 256  # pieces that stand for all
FILTERS_KEPT = 16  # the next question often has the same


class Index:
    """An index in an open file, which stays the caller's; safe to use from any thread.

    Nothing of it is read before it is needed, and then mapped: it takes no memory of its own.
    """

    def __init__(self, fd: int, offset: int, length: int, label: str = "the index") -> None:
        """Open the `length` bytes at `offset`; raise PayloadError where they are no index."""
        self.label = label
        try:
            self.head = Head.decode(_beginning(fd, offset, length), length, label)
            self._mapped = MappedRange(fd, offset, length)
        except OSError as exc:
            raise self._unreadable(exc) from exc
        if self.head.rules != RULES:
            raise PayloadError(
                f"{label} was made by other rules for words, {self.head.rules} in place of {RULES}",
                hint="use the release of modelembed that made it, or index the documents again",
            )
        self._area = functools.cache(self._fetch)
        self._every = functools.lru_cache(1)(lambda step: Bits.every(step, len(self)))
        self._selected = functools.lru_cache(FILTERS_KEPT)(self._select)

    # ---- What is in it

    def __len__(self) -> int:
        return self.head.pieces

    def document(self, number: int) -> Document:
        """Return what is known about a document."""
        path, title, kind, date, first, _, _ = self._document(number)
        following = self._document(number + 1)[4] if number + 1 < self.head.documents else len(self)
        if not first <= following <= len(self):
            raise self._damaged("a document has pieces that there are not")
        return Document(
            number, self._paths[path], self._kinds[kind], self._labels[title], self._dates[date],
            range(first, following),
        )  # fmt: skip

    def documents(self) -> Iterator[Document]:
        """Yield all documents."""
        return map(self.document, range(self.head.documents))

    def piece(self, number: int) -> Piece:
        """Return what is known about a piece."""
        document, kind, date, heading, head, page, _, _, begin, end = self._piece(number)
        return Piece(
            number, document, self._kinds[kind], self._dates[date], self._labels[heading], page,
            begin, end, self._labels[head],
        )  # fmt: skip

    def text(self, first: int, last: int | None = None) -> str:
        """Return the text of a piece; or from a piece on to a later one of the same document.

        It is without the `head` of the first.
        """
        document, *_, begin, _, _, _ = self._piece(first)
        other, *_, end, _, _ = self._piece(first if last is None else last)
        *_, place, size = self._document(document)
        if other != document or not begin <= end <= size or end - begin > bounds.INDEX_TEXT:
            raise self._damaged("a piece does not lie in its document")
        return self._decoded(self._texts.read(place + begin, end - begin))

    def document_text(self, number: int) -> str:
        """Return the whole text of a document."""
        *_, place, size = self._document(number)
        # One behind the other, so that there is no more text than its blocks hold.
        *_, before, length = self._document(number - 1) if number else (0, 0)
        if place != before + length or size > bounds.INDEX_TEXT:
            raise self._damaged("a document has another place than it may have")
        return self._decoded(self._texts.read(place, size))

    def vector(self, piece: int) -> Vector:
        """Return the vector of a piece as it is kept, to be put into another index."""
        width = self.head.width
        _, rows = self._area("vectors")
        _, scales = self._area("scales")
        self._piece(piece)
        numbers = bytes(rows[piece * width : (piece + 1) * width])
        return Vector(SCALE.unpack_from(scales, piece * SCALE.size)[0], numbers)

    # ---- Searching

    def keywords(self, question: str, limit: int, filters: Filters = ALL) -> list[Hit]:
        """Return the pieces whose words say most about a question (BM25), the best first."""
        weights = self._weights(Counter(tokens(question[: bounds.QUESTION])))
        # Of a page that was pasted, what is the rarest.
        terms = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
        lengths, _ = self._area("lengths")
        average = self.head.tokens / max(len(self), 1)
        scores = Scores(lengths, len(self), average)
        _, places = self._area("places")
        for number, weight in terms[: bounds.QUESTION_TERMS]:
            begin, end = (PLACE.unpack_from(places, PLACE.size * (number + i))[0] for i in (0, 1))
            if not begin <= end <= self.head.areas["lists"].length:
                raise self._damaged("the lists of its words are out of order")
            address, _ = self._part("lists", begin, end - begin)
            if not scores.add(address, end - begin, weight):
                raise self._damaged("a list of its words is none")
        return scores.best(limit, self._selected(filters) if filters else None)

    def reach(self, question: str) -> float:
        """Return what a piece could be worth at most to a question: with all its words, often."""
        found = Counter(tokens(question[: bounds.QUESTION]))
        return sum(times * self._rarity(self._pieces_with(token)) for token, times in found.items())

    @property
    def rarest(self) -> float:
        """Return what a word is worth that a single piece has."""
        return self._rarity(1)

    def nearest(self, vector: Sequence[float], limit: int, filters: Filters = ALL) -> list[Hit]:
        """Return the pieces whose vectors point the most like `vector`, the best first."""
        return self._nearest(vector, limit, self._selected(filters) if filters else None)

    def usual(self, vector: Sequence[float]) -> float:
        """Return the cosine between `vector` and those of pieces, on average of some of them."""
        step = max(1, len(self) // SAMPLE)
        scores = [hit.score for hit in self._nearest(vector, 2 * SAMPLE, self._every(step))]
        return sum(scores) / len(scores) if scores else 0.0

    def _nearest(self, vector: Sequence[float], limit: int, bits: Bits | None) -> list[Hit]:
        if not self.head.dimensions:
            return []
        if len(vector) != self.head.dimensions:
            raise ModelError(
                f"the embedding model gives vectors of {len(vector)} dimensions, those of "
                f"{self.label} have {self.head.dimensions}",
                hint="use the embedding model that the documents were indexed with",
            )
        rows, _ = self._area("vectors")
        scales, _ = self._area("scales")
        return loops.nearest(rows, scales, len(self), self.head.width, vector, limit, bits)

    def _weights(self, question: Mapping[str, int]) -> Mapping[int, float]:
        """Return what each term says about a question, by the terms' numbers."""
        weights: dict[int, float] = {}
        words = []
        for token, times in question.items():
            number = self._terms.find(token)
            count = 0 if number is None else self._count(number)
            if number is not None:
                weights[number] = times * self._rarity(count)
            if COMPOUNDED.fullmatch(token):
                words.append((count, token, number))
        address, content = self._area("terms")
        for _, word, itself in sorted(words, key=lambda item: item[:2])[:COMPOUNDS]:
            found = loops.containing(
                address, len(content), len(self._terms), word.encode(), COMPOUNDS
            )
            others = [number for number in found if number != itself]
            weight = PART * self._rarity(sum(map(self._count, others)))
            for number in others:
                weights[number] = weights.get(number, 0.0) + weight
        return weights

    def _pieces_with(self, token: str) -> int:
        number = self._terms.find(token)
        return 0 if number is None else self._count(number)

    def _count(self, number: int) -> int:
        """Return how many pieces have a term."""
        if number >= self.head.terms:
            raise self._damaged(f"it has no term {number}")
        return int(COUNT.unpack_from(self._area("counts")[1], number * COUNT.size)[0])

    def _rarity(self, count: int) -> float:
        """Return what a term says that `count` pieces have."""
        count = min(count, len(self))
        return math.log(1 + (len(self) - count + 0.5) / (count + 0.5))

    def _select(self, filters: Filters) -> Bits:
        """Return which pieces are wanted."""
        bits = Bits(len(self))
        rows, _ = self._area("pieces")
        for name, wanted in (
            ("kind", bytes(map(filters.takes_kind, self._kinds)) if filters.kinds else None),
            ("date", bytes(map(filters.takes_date, self._dates))),
            ("document", self._documents_at(filters) if filters.paths else None),
        ):
            if wanted is not None:
                bits.select(rows, len(self), PIECE_WIDTH, FIELDS[name], wanted)
        return bits

    def _documents_at(self, filters: Filters) -> bytes:
        """Return which documents have a path that is wanted."""
        paths = bytes(map(filters.takes_path, self._paths))
        numbers = (self._document(number)[0] for number in range(self.head.documents))
        return bytes(number < len(paths) and paths[number] for number in numbers)

    # ---- Reading

    def _fetch(self, name: str) -> tuple[int, memoryview]:
        """Return address and content of an area."""
        return self._part(name, 0, self.head.areas[name].length)

    def _part(self, name: str, begin: int, size: int) -> tuple[int, memoryview]:
        """Return address and content of a part of an area, which is read from disk now."""
        try:
            return self._mapped.fetch(self.head.areas[name].offset + begin, size)
        except EOFError as exc:
            raise self._damaged("the file ends before it does") from exc
        except OSError as exc:
            raise self._unreadable(exc) from exc

    def _document(self, number: int) -> tuple[int, ...]:
        if not 0 <= number < self.head.documents:
            raise self._damaged(f"it has no document {number}")
        return DOCUMENT.unpack_from(self._area("documents")[1], number * DOCUMENT.size)

    def _piece(self, number: int) -> tuple[int, ...]:
        if not 0 <= number < len(self):
            raise self._damaged(f"it has no piece {number}")
        return PIECE.unpack_from(self._area("pieces")[1], number * PIECE.size)

    def _pool(self, name: str) -> Pool:
        return Pool(self._area(name)[1], self._damaged)

    @functools.cached_property
    def _paths(self) -> Pool:
        return self._pool("paths")

    @functools.cached_property
    def _labels(self) -> Pool:
        return self._pool("labels")

    @functools.cached_property
    def _kinds(self) -> Pool:
        return self._pool("kinds")

    @functools.cached_property
    def _dates(self) -> Pool:
        return self._pool("dates")

    @functools.cached_property
    def _terms(self) -> Pool:
        return self._pool("terms")

    @functools.cached_property
    def _texts(self) -> TextReader:
        size = self.head.areas["texts"].length
        return TextReader(
            self._area("blocks")[1],
            size,
            lambda begin, length: self._part("texts", begin, length)[1],
            self._damaged,
        )

    def _decoded(self, text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError as exc:
            raise self._damaged("a text is none") from exc

    def _damaged(self, how: str) -> PayloadError:
        return damaged(self.label, how)

    def _unreadable(self, exc: OSError) -> PayloadError:
        return PayloadError(f"{self.label} cannot be read: {exc.strerror}", hint=DAMAGED)


def _beginning(fd: int, offset: int, length: int) -> bytes:
    """Return the bytes that hold the head: few, unless it is a long one."""
    data = os.pread(fd, min(length, HEAD_ALIGNMENT), offset)
    return data if b"\n" in data else os.pread(fd, min(length, bounds.INDEX_HEAD), offset)
