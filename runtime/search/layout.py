"""Layout: the head of an index, and where its areas lie; FORMAT.md, "The kind `documents`".

This module turns bytes into checked values and back; it opens no files.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from runtime import bounds
from runtime.errors import DAMAGED, PayloadError

KIND, NAME = "documents", "docs"
FORM = 1
HEAD_ALIGNMENT = 4096
AREA_ALIGNMENT = 64  # of a processor's cache lines, and more than any of its vectors needs
AREAS = (
    "documents", "pieces", "paths", "labels", "kinds", "dates", "blocks", "texts", "terms",
    "counts", "places", "lists", "lengths", "scales", "vectors",
)  # fmt: skip
"""All areas, in the order in which they lie."""
DOCUMENT = struct.Struct("<5I4xQQ")
"""Path, title, kind, date, its first piece; where its text begins, and its bytes."""
PIECE = struct.Struct("<10I")
"""Document, kind, date, heading, head, page; begin and end in its text: bytes, then characters."""
FIELDS = {"document": 0, "kind": 1, "date": 2}
"""What pieces are filtered by, and where it stands in PIECE."""
BLOCK = 64 << 10
"""Bytes of text that are compressed together."""


@dataclass(frozen=True)
class Area:
    """A part of an index."""

    offset: int
    """From the beginning of the index."""
    length: int


@dataclass(frozen=True)
class Head:
    """What an index begins with."""

    documents: int
    pieces: int
    terms: int
    tokens: int
    """In all pieces together."""
    dimensions: int
    """Of the vectors; 0 where there are none."""
    rules: int
    """The number of the rules by which texts were made tokens."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else is known about it: which model made the vectors, and how."""
    areas: Mapping[str, Area] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return a line of JSON, padded with spaces."""
        document = {"form": FORM, **asdict(self)}
        document["areas"] = {name: [area.offset, area.length] for name, area in self.areas.items()}
        line = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        return line.ljust(-(-(len(line) + 1) // HEAD_ALIGNMENT) * HEAD_ALIGNMENT - 1) + b"\n"

    @classmethod
    def decode(cls, data: bytes, size: int, label: str) -> Head:
        """Return the head at the beginning of `data`, of an index of `size` bytes.

        Raise PayloadError where it is none, or of another release.
        """
        line, newline, _ = data[: bounds.INDEX_HEAD].partition(b"\n")
        try:
            found = json.loads(line) if newline else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise damaged(label, "it does not begin with its head")
        if found.get("form") != FORM:
            raise PayloadError(
                f"{label} is an index of form {str(found.get('form'))[:20]}; this program reads "
                f"{FORM}",
                hint="use the release of modelembed that made it, or index the documents again",
            )
        counts = {}
        for name in ("documents", "pieces", "terms", "tokens", "dimensions", "rules"):
            count = found.get(name)
            if type(count) is not int or not 0 <= count < 1 << 48:
                raise damaged(label, f"its '{name}' is no count")
            counts[name] = count
        facts = found.get("facts")
        if not isinstance(facts, dict) or not all(isinstance(f, str) for f in facts.values()):
            raise damaged(label, "its facts are no texts")
        areas = _areas(found.get("areas"), size, label)
        head = cls(**counts, facts=facts, areas=areas)
        head._check(label)
        return head

    @property
    def width(self) -> int:
        """Return the bytes of a vector's row: its dimensions, and zeros behind them."""
        return -(-self.dimensions // AREA_ALIGNMENT) * AREA_ALIGNMENT

    def _check(self, label: str) -> None:
        """Refuse areas that have not the sizes that the counts ask for."""
        if self.pieces >= 1 << 32 or self.documents >= 1 << 32 or self.terms >= 1 << 32:
            raise damaged(label, "it has more entries than can be numbered")
        if self.dimensions > bounds.VECTOR_DIMENSIONS:
            raise damaged(label, f"its vectors have {self.dimensions} dimensions")
        vectors = self.pieces if self.dimensions else 0
        for name, expected in (
            ("documents", self.documents * DOCUMENT.size),
            ("pieces", self.pieces * PIECE.size),
            ("counts", self.terms * 4),
            ("places", (self.terms + 1) * 8),
            ("lengths", self.pieces * 2),
            ("scales", vectors * 4),
            ("vectors", vectors * self.width),
        ):
            if (found := self.areas[name].length) != expected:
                raise damaged(label, f"its area '{name}' has {found} bytes, not {expected}")


def _areas(found: object, size: int, label: str) -> dict[str, Area]:
    """Return the areas as they are listed, which must lie in an index of `size` bytes."""
    if not isinstance(found, dict) or set(found) != set(AREAS):
        raise damaged(label, "its areas are not those of an index")
    areas = {}
    for name, place in found.items():
        if not isinstance(place, list) or [type(number) for number in place] != [int, int]:
            raise damaged(label, f"its area '{name}' has no place")
        area = Area(*place)
        if area.offset % AREA_ALIGNMENT or not 0 <= area.offset <= size - area.length <= size:
            raise damaged(label, f"its area '{name}' does not lie in it")
        areas[name] = area
    return areas


def damaged(label: str, how: str) -> PayloadError:
    """Return the error for an index that holds what no writer writes."""
    return PayloadError(f"{label} cannot be searched: {how}", hint=DAMAGED)
