"""Chunk table of a section with the codec `planes`: offsets, sizes, types and hashes of chunks.

FORMAT.md, "Codecs", specifies it. The section is the coded streams of all chunks one after the
other, then the table (compressed), then the tail that says how long the table is.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from runtime import bounds
from runtime.errors import DAMAGED, PayloadError
from runtime.weights.byte_planes import streams_of

MAGIC = b"MEPLANES"
TAIL = struct.Struct("<8sQIII")  # magic, chunks, bytes of the table, and uncompressed, CRC-32
CHUNK = struct.Struct("<IBB16s")  # original bytes, type, streams, XXH3-128 of the original
STREAM = struct.Struct("<BI")  # coding, bytes in the file
RAW, ZSTD = 0, 1

STREAMS = [struct.Struct("<" + "BI" * number) for number in range(bounds.CHUNK_STREAMS + 1)]
TABLE_MIN = 1 << 20
TABLE_SHARE = 64
TABLE_TIMES = 4
"""A table may take that part of the original's size, but no more than this many times what the
streams take, and TABLE_MIN beside: a damaged or hostile one can make us allocate only in proportion
to what is really there, whatever size the manifest claims."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A stream in the file."""

    coding: int
    """RAW or ZSTD."""
    length: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the original: its place, its streams in the file, its hash."""

    offset: int
    """Of its first stream, from the start of the section."""
    target: int
    """Where it begins in the original."""
    size: int
    """Bytes of the original."""
    kind: int
    """ggml's number of the type of weights, or PLAIN."""
    streams: tuple[Coded, ...]
    xxh3: bytes
    """XXH3-128 of the original bytes, canonical (big-endian)."""

    @property
    def length(self) -> int:
        """Bytes that it takes in the file."""
        return sum(stream.length for stream in self.streams)


def encode(chunks: Sequence[Chunk]) -> bytes:
    """Return table and tail for `chunks`, which lie one after the other.

    Raise PayloadError where there are more than a reader takes.
    """
    import zlib

    import zstandard

    if len(chunks) > bounds.CHUNKS:
        raise PayloadError(
            f"the model is too large to be compressed: it has {len(chunks):,} pieces, at most "
            f"{bounds.CHUNKS:,} can be listed",
            hint="store it: --compress none",
        )
    rows = []
    for chunk in chunks:
        rows.append(CHUNK.pack(chunk.size, chunk.kind, len(chunk.streams), chunk.xxh3))
        rows += [STREAM.pack(stream.coding, stream.length) for stream in chunk.streams]
    table = b"".join(rows)
    packed = zstandard.ZstdCompressor(level=19, write_checksum=True).compress(table)
    sums = TAIL.pack(MAGIC, len(chunks), len(packed), len(table), 0)[:-4]
    return packed + sums + struct.pack("<I", zlib.crc32(packed + sums))


def table_length(tail: bytes) -> int:
    """Return how many bytes table and tail take, given the section's last bytes."""
    if len(tail) != TAIL.size:
        raise PayloadError("the compressed part is too short", hint=DAMAGED)
    magic, _, packed, _, _ = TAIL.unpack(tail)
    if magic != MAGIC:
        raise PayloadError("the compressed part has no valid chunk table", hint=DAMAGED)
    return int(packed) + TAIL.size


def decode(data: bytes, length: int, size: int) -> list[Chunk]:
    """Return the chunks that the table in `data` (tail included) lists.

    They must fill exactly the `length` bytes of the section less the table, and restore to
    exactly `size` bytes; anything else raises PayloadError.
    """
    import zlib

    if len(data) != table_length(data[-TAIL.size :]):
        raise PayloadError("the compressed part is too short", hint=DAMAGED)
    _, count, _, original, crc = TAIL.unpack_from(data, len(data) - TAIL.size)
    if crc != zlib.crc32(data[:-4]):
        raise PayloadError("the chunk table's checksum does not match", hint=DAMAGED)
    if original > TABLE_MIN + min(size // TABLE_SHARE, TABLE_TIMES * (length - len(data))):
        raise PayloadError(f"the chunk table claims {original} bytes", hint=DAMAGED)
    if count > min(bounds.CHUNKS, original // CHUNK.size):
        raise PayloadError(f"the chunk table claims {count:,} chunks", hint=DAMAGED)
    table = _unpacked(data[: -TAIL.size], original)
    chunks = []
    offset = target = place = 0
    try:
        for _ in range(count):
            begin, kind, number, xxh3 = CHUNK.unpack_from(table, place)
            place += CHUNK.size
            if not 0 < begin <= bounds.CHUNK or number > bounds.CHUNK_STREAMS:
                raise PayloadError(
                    f"a chunk claims {begin} bytes in {number} streams", hint=DAMAGED
                )
            listed = STREAMS[number].unpack_from(table, place)
            place += STREAMS[number].size
            streams, taken = _streams(kind, begin, listed)
            chunks.append(Chunk(offset, target, begin, kind, streams, xxh3))
            offset += taken
            target += begin
    except struct.error:
        raise PayloadError("the chunk table ends too early", hint=DAMAGED) from None
    if place != len(table) or offset != length - len(data) or target != size:
        raise PayloadError(
            f"the chunk table covers {offset} bytes that restore to {target}, "
            f"expected {length - len(data)} and {size}",
            hint=DAMAGED,
        )
    return chunks


@functools.lru_cache(4096)
def _streams(kind: int, size: int, listed: Sequence[int]) -> tuple[tuple[Coded, ...], int]:
    """Return a chunk's streams and their bytes in all; refuse what cannot be its streams.

    Remembered: of a million rows of one size, most say the same.
    """
    try:
        expected = streams_of(kind, size)
    except ValueError as exc:
        raise PayloadError(f"the chunk table is damaged: {exc}", hint=DAMAGED) from exc
    streams = tuple(map(Coded, listed[::2], listed[1::2]))
    fitting = len(expected) == len(streams) and all(
        coded.coding == ZSTD or (coded.coding == RAW and coded.length == stream.size)
        for coded, stream in zip(streams, expected, strict=True)
    )
    length = sum(listed[1::2])
    # Coded streams are shorter than what they stand for; a reader may rely on it.
    if not fitting or length > size:
        raise PayloadError(
            "the chunk table lists streams that do not belong together", hint=DAMAGED
        )
    return streams, length


def _unpacked(packed: bytes, size: int) -> bytes:
    import zstandard

    try:
        if zstandard.get_frame_parameters(packed).content_size != size:
            raise PayloadError("the chunk table has another size than it should", hint=DAMAGED)
        return zstandard.ZstdDecompressor().decompress(
            packed, max_output_size=size, allow_extra_data=False
        )
    except zstandard.ZstdError as exc:
        raise PayloadError(f"the chunk table cannot be read: {exc}", hint=DAMAGED) from exc
