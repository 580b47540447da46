"""Sections coded `planes` whose chunk tables, streams or hashes lie; `verify` sees it all."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles
import zstandard

COMMAND, CODES = "verify", (1,)
GREETING = b"hello, " * 20
FRAME = zstandard.ZstdCompressor().compress(GREETING)
HUGE = (1 << 63) - 1
MIB64 = 64 << 20


def section(*chunks: bundles.Chunk, **entry: Any) -> Callable[[Path], object]:
    return lambda path: bundles.write(path, [bundles.planes(*chunks, **entry)])


def table(
    packed: bytes | None = None, size: int = len(GREETING), **tail: Any
) -> Callable[[Path], object]:
    """Return a builder of a sound chunk with a table that lies."""
    chunk = bundles.chunk(GREETING)
    made = bundles.chunk_table([chunk.row], packed=packed, **tail)
    return section(chunk, table=made, size=size)


def coded(data: bytes, original: bytes = GREETING, **claims: Any) -> Callable[[Path], object]:
    """Return a builder of one chunk of plain bytes with this as its stream."""
    return section(bundles.chunk(original, streams=[(1, data)], **claims))


def data(content: bytes, size: int = len(GREETING)) -> Callable[[Path], object]:
    return lambda path: bundles.write(path, [bundles.planes_as(content, GREETING, size=size)])


def rows(count: int, size: int, length: int = 0) -> Callable[[Path], object]:
    """Return a builder of a table of many alike rows, that is short because it is compressed.

    Each is of a chunk of `size` bytes; its `length` bytes in the file are zeros.
    """

    def build(path: Path) -> None:
        row = struct.pack("<IBB16sBI", size, 255, 1, bytes(16), 1, length)
        made = zstandard.ZstdCompressor().compressobj(size=len(row) * count)
        packed = b"".join(
            [*(made.compress(row * 1000) for _ in range(count // 1000)),
             made.compress(row * (count % 1000)), made.flush()]
        )  # fmt: skip
        table = bundles.chunk_table([], packed=packed, chunks=count, size=len(row) * count)
        data(bytes(length * count) + table, count * size)(path)

    return build


SEGMENT = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", (1 << 32) - 1)  # one of 4 GiB
EMPTY_BLOCK = b"\x01\0\0"

ATTACKS: dict[str, Callable[[Path], object]] = {
    "nothing": data(b""),
    "too-short": data(b"12345678"),
    "no-tail": data(FRAME),
    "tail-alone": data(bundles.chunk_table([])[-28:]),
    "other-codec": data(FRAME + bundles.seek_table([(len(FRAME), len(GREETING))])),
    "chunks-none": table(chunks=0),
    "chunks-huge": table(chunks=(1 << 64) - 1),
    "length-huge": table(length=(1 << 32) - 1),
    "table-huge": data(
        bundles.chunk_table([], packed=SEGMENT + EMPTY_BLOCK, chunks=1, size=(1 << 32) - 1), HUGE
    ),
    "table-of-noise": table(packed=b"\xff" * 100),
    "wrong-checksum": table(crc=0),
    "rows-ten-million": rows(10_000_000, 1),
    "rows-of-exbibytes": rows(10_000_000, MIB64),
    "rows-of-streams": rows(3_000_000, 2000, 7),
    "rows-many": rows(1 << 17, 2000, 7),
    "size-differs": table(size=len(GREETING) + 1),
    "size-huge": table(size=HUGE),
    "chunk-empty": section(bundles.chunk(b"x", size=0)),
    "chunk-too-large": section(bundles.chunk(b"x", size=MIB64 + 1), size=MIB64 + 1),
    "chunk-largest": coded(FRAME, size=(1 << 32) - 1),
    "chunk-large-of-little": section(
        bundles.chunk(GREETING, streams=[(1, FRAME)], size=MIB64), size=MIB64
    ),
    "type-unknown": section(bundles.chunk(b"x", streams=[(0, b"x")], type=200)),
    "type-differs": section(bundles.chunk(GREETING, 1, type=30)),
    "records-not-whole": section(bundles.chunk(b"xxx", streams=[(0, b"xxx")], type=2)),
    "streams-none": section(bundles.chunk(b"x", streams=[])),
    "streams-huge": section(bundles.chunk(b"x", count=255)),
    "stream-too-long": coded(b"x" * 200),
    "coding-unknown": section(bundles.chunk(b"x", streams=[(7, b"x")])),
    "hash-of-a-chunk": section(bundles.chunk(GREETING, xxh3=bytes(16))),
    "hash-of-the-original": section(bundles.chunk(GREETING), sha256="0" * 64),
    "hash-of-the-file": section(bundles.chunk(GREETING), coded_sha256="0" * 64),
    "frame-of-noise": coded(b"\xff" * 50),
    "frame-of-nothing": coded(b""),
    "frame-shorter": coded(FRAME, GREETING + b"!"),
    "frame-longer": coded(FRAME, GREETING[:-1]),
    "frame-and-more": coded(FRAME + b"more"),
    "frames-two": coded(FRAME + FRAME, GREETING * 2),
    "content-size-huge": coded(FRAME[:4] + b"\xe4" + struct.pack("<Q", 1 << 60)),
    "window-huge": coded(b"\x28\xb5\x2f\xfd\x00\xff" + EMPTY_BLOCK),
    "segment-huge": coded(SEGMENT + EMPTY_BLOCK),
    "chunks-of-a-tebibyte": rows(20_000, MIB64),
}
