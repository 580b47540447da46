"""Pools of texts: many short ones in one area, found by number, and where sorted also by text."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

from runtime import bounds

COUNT = struct.Struct("<I")


def encode(texts: Iterable[str]) -> bytes:
    """Return a pool: the number of texts, where each of them ends, and their bytes."""
    ends, content = bytearray(), bytearray()
    count = 0
    for text in texts:
        content += _short(text.encode())
        ends += COUNT.pack(len(content))
        count += 1
    return COUNT.pack(count) + bytes(ends) + bytes(content)


def _short(text: bytes) -> bytes:
    """Return the beginning of a text that is longer than readers take."""
    if len(text) <= bounds.INDEX_LABEL:
        return text
    return text[: bounds.INDEX_LABEL].decode(errors="ignore").encode()


class Pool:
    """The texts of an encoded pool."""

    def __init__(self, data: memoryview, damaged: Callable[[str], Exception]) -> None:
        """Read `data`, which may be a stranger's; `damaged` returns what to raise, told why."""
        self._damaged = damaged
        self._count = COUNT.unpack_from(data)[0] if len(data) >= COUNT.size else -1
        begin = COUNT.size * (self._count + 1)
        if not 0 <= begin <= len(data) or self._count < 0:
            raise damaged("a list of texts ends too soon")
        self._ends = data[COUNT.size : begin]
        self._content = data[begin:]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(self._count))

    def encoded(self, number: int) -> bytes:
        """Return the bytes of a text."""
        if not 0 <= number < self._count:
            raise self._damaged(f"a list of {self._count} texts has no number {number}")
        begin = COUNT.unpack_from(self._ends, COUNT.size * (number - 1))[0] if number else 0
        (end,) = COUNT.unpack_from(self._ends, COUNT.size * number)
        if not begin <= end <= len(self._content):
            raise self._damaged("a list of texts is out of order")
        if end - begin > bounds.INDEX_LABEL:
            raise self._damaged(f"a short text has {end - begin:,} bytes")
        return bytes(self._content[begin:end])

    def __getitem__(self, number: int) -> str:
        try:
            return self.encoded(number).decode()
        except UnicodeDecodeError as exc:
            raise self._damaged("a text is none") from exc

    def find(self, text: str) -> int | None:
        """Return the number of a text among sorted ones, None where it is not there."""
        wanted = text.encode()
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            found = self.encoded(middle)
            if found == wanted:
                return middle
            if found < wanted:
                low = middle + 1
            else:
                high = middle
        return None
