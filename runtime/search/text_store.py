"""Texts of documents, one after the other, compressed in blocks that are read by themselves."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator

import zstandard

from runtime.search.layout import BLOCK

LEVEL = 19  # of what there is: it is written once, and reading is as fast as at any
PLACE = struct.Struct("<Q")
KEPT = 16  # blocks: a passage is in one or two, and its neighbours are asked for next


class TextWriter:
    """Texts to be stored."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        """Let `write` have the compressed blocks."""
        self._write = write
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self._waiting = bytearray()
        self._places = [0]
        self.size = 0
        """Bytes of all texts so far."""

    def add(self, text: bytes) -> None:
        """Append a text."""
        self.size += len(text)
        self._waiting += text
        while len(self._waiting) >= BLOCK:
            self._flush(BLOCK)

    def finish(self) -> bytes:
        """Write what is left; return where the blocks begin, and the last ends."""
        if self._waiting:
            self._flush(len(self._waiting))
        return b"".join(PLACE.pack(place) for place in self._places)

    def _flush(self, size: int) -> None:
        block = self._compressor.compress(bytes(self._waiting[:size]))
        del self._waiting[:size]
        self._write(block)
        self._places.append(self._places[-1] + len(block))


class TextReader:
    """Stored texts."""

    def __init__(
        self,
        blocks: memoryview,
        size: int,
        fetch: Callable[[int, int], memoryview],
        damaged: Callable[[str], Exception],
    ) -> None:
        """Take where the blocks begin, and what fetches some of their `size` bytes.

        Both may be a stranger's; `damaged` returns what to raise, told why.
        """
        if len(blocks) % PLACE.size or not blocks:
            raise damaged("the places of its texts end too soon")
        self._blocks, self._size, self._fetch, self._damaged = blocks, size, fetch, damaged
        self._block = functools.lru_cache(KEPT)(self._read)

    def read(self, begin: int, size: int) -> bytes:
        """Return `size` bytes from `begin` on."""
        return b"".join(self.chunks(begin, size))

    def chunks(self, begin: int, size: int) -> Iterator[bytes]:
        """Yield `size` bytes from `begin` on, block by block."""
        end = begin + size
        while begin < end:
            number, skipped = divmod(begin, BLOCK)
            found = self._block(number)[skipped : skipped + end - begin]
            if not found:
                raise self._damaged("a text ends too soon")
            yield found
            begin += len(found)

    def _read(self, number: int) -> bytes:
        if PLACE.size * (number + 2) > len(self._blocks):
            raise self._damaged("a text ends too soon")
        begin, end = (PLACE.unpack_from(self._blocks, PLACE.size * (number + i))[0] for i in (0, 1))
        if not begin <= end <= self._size:
            raise self._damaged("the places of its texts are out of order")
        block = self._fetch(begin, end - begin)
        try:
            if not 0 < zstandard.frame_content_size(block) <= BLOCK:
                raise self._damaged("a block of text has another size than it may have")
            return zstandard.ZstdDecompressor().decompress(block)
        except zstandard.ZstdError as exc:
            raise self._damaged("a block of text cannot be unpacked") from exc
