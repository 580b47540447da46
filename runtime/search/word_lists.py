"""Lists of words: for each term, which pieces contain it and how often; search.c reads them."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable

COUNT, PLACE, LENGTH = struct.Struct("<I"), struct.Struct("<Q"), struct.Struct("<H")
LONGEST = 0xFFFF
"""Tokens that a piece is counted with at most, and how often a token is counted in it."""


class WordLists:
    """The lists of an index that is being made."""

    def __init__(self) -> None:
        """Begin with no piece."""
        self._lists: dict[str, bytearray] = {}
        self._last: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._lengths = bytearray()
        self._pieces = 0
        self.tokens = 0
        """In all pieces together."""

    def add(self, tokens: Iterable[str]) -> None:
        """Append the tokens of a piece."""
        found = Counter(tokens)
        length = min(found.total(), LONGEST)
        self.tokens += length
        self._lengths += LENGTH.pack(length)
        for token, times in found.items():
            entries = self._lists.setdefault(token, bytearray())
            distance = self._pieces - self._last.get(token, -1)
            _append(entries, 2 * distance + (times > 1))
            if times > 1:
                _append(entries, min(times, LONGEST))
            self._last[token] = self._pieces
            self._counts[token] = self._counts.get(token, 0) + 1
        self._pieces += 1

    def terms(self) -> list[str]:
        """Return all terms, in the order of their bytes."""
        return sorted(self._lists, key=str.encode)

    def areas(self) -> dict[str, bytes]:
        """Return the areas: how many pieces have a term, where its list begins, all lists."""
        terms = self.terms()
        places, place = bytearray(PLACE.pack(0)), 0
        for term in terms:
            place += len(self._lists[term])
            places += PLACE.pack(place)
        return {
            "counts": b"".join(COUNT.pack(self._counts[term]) for term in terms),
            "places": bytes(places),
            "lists": b"".join(self._lists[term] for term in terms),
            "lengths": bytes(self._lengths),
        }


def _append(entries: bytearray, number: int) -> None:
    """Append a number in bytes of 7 bits, the lowest first and the last below 128."""
    while number > 127:
        entries.append(number & 127 | 128)
        number >>= 7
    entries.append(number)
