"""The chunk table: its bytes as FORMAT.md says, and tables that lie or are damaged."""

from __future__ import annotations

import re
import resource
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import bundles
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import bounds
from runtime.errors import PayloadError
from runtime.weights import chunk_table
from runtime.weights.byte_planes import LAYOUTS, PLAIN, streams_of
from runtime.weights.chunk_table import (
    RAW,
    TABLE_MIN,
    TABLE_SHARE,
    TABLE_TIMES,
    TAIL,
    ZSTD,
    Chunk,
    Coded,
)

ROWS = bytes.fromhex(
    "88000000 ff 01 000102030405060708090a0b0c0d0e0f"  # 136 plain bytes in one stream
    "01 40000000"  # which is a frame of 64 bytes
    "08000000 01 02 f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"  # 8 bytes of F16, so in two
    "00 04000000"  # the low bytes as they are
    "01 03000000"  # the high ones as a frame of 3
)
PACKED = (
    bytes.fromhex(  # the same as a frame: magic, one segment, its size, a raw block
        "28b52ffd 20 3b d90100"
    )
    + ROWS
)
TAIL_BYTES = bytes.fromhex(
    "4d45504c414e4553"  # MEPLANES
    "0200000000000000"  # chunks
    "44000000"  # bytes of the frame
    "3b000000"  # bytes of the table
)
GOLDEN = PACKED + TAIL_BYTES + struct.pack("<I", zlib.crc32(PACKED + TAIL_BYTES))
CHUNKS = [
    Chunk(0, 0, 136, PLAIN, (Coded(ZSTD, 64),), bytes(range(16))),
    Chunk(64, 136, 8, 1, (Coded(RAW, 4), Coded(ZSTD, 3)), bytes(range(0xF0, 0x100))),
]
CODED, SIZE = 64 + 7, 136 + 8
LENGTH = CODED + len(GOLDEN)


def test_table_is_golden() -> None:
    assert CHUNKS == chunk_table.decode(GOLDEN, LENGTH, SIZE)
    assert len(GOLDEN) == chunk_table.table_length(GOLDEN[-28:])


def test_what_is_written_is_golden() -> None:
    # But for the frame, whose bytes are the compressor's matter.
    table = chunk_table.encode(CHUNKS)
    magic, count, length, size, crc = struct.unpack("<8sQIII", table[-28:])

    assert (b"MEPLANES", 2, len(table) - 28, len(ROWS)) == (magic, count, length, size)
    assert zlib.crc32(table[:-4]) == crc
    assert ROWS == zstandard.ZstdDecompressor().decompress(table[:-28])
    assert len(ROWS) == zstandard.get_frame_parameters(table).content_size


def test_other_writer_writes_the_same() -> None:
    found = bundles.chunk_table([ROWS[:27], ROWS[27:]])

    assert CHUNKS == chunk_table.decode(found, CODED + len(found), SIZE)


def test_specification_lists_tail_row_and_limits() -> None:
    text = bundles.SPECIFICATION.partition("## The codec `planes`")[2].partition("\n## ")[0]
    tail, _, row = text.partition("A row of the table:")
    fields = re.compile(r"^\| (\d+)(?: × streams)? \| ([\w ]+) \| (.+) \|$", re.M)

    tail_sizes = [int(size) for size, _, _ in fields.findall(tail)]
    assert [8, 8, 4, 4, 4] == tail_sizes
    assert TAIL.size == sum(tail_sizes)
    *row_sizes, stream = [int(size) for size, _, _ in fields.findall(row)][:5]
    assert [4, 1, 1, 16] == row_sizes
    assert (sum(row_sizes), stream) == (chunk_table.CHUNK.size, chunk_table.STREAM.size)
    assert f"from 1 to {bounds.CHUNK >> 20} MiB" in text
    limits = (
        f"{TABLE_MIN >> 20} MiB + `size` / {TABLE_SHARE}, or of more than 1 MiB + {TABLE_TIMES} ×"
    )
    assert limits in " ".join(text.split())
    assert f"more than 2^{bounds.CHUNKS.bit_length() - 1} rows" in " ".join(text.split())
    assert f"Type {PLAIN} is plain bytes" in text
    assert f"`{chunk_table.MAGIC.decode()}` in ASCII" in text


@st.composite
def rows(draw: st.DrawFn) -> tuple[int, int, tuple[Coded, ...], bytes]:
    """Draw a chunk's size, type, streams and hash, all of them sound."""
    kind = draw(st.sampled_from([PLAIN, *LAYOUTS]))
    record = LAYOUTS[kind].record if kind in LAYOUTS else 1
    size = record * draw(st.integers(1, bounds.CHUNK // record))
    coded = tuple(
        Coded(ZSTD, draw(st.integers(0, stream.size))) if draw(st.booleans()) else
        Coded(RAW, stream.size)
        for stream in streams_of(kind, size)
    )  # fmt: skip
    return size, kind, coded, draw(st.binary(min_size=16, max_size=16))


@given(st.lists(rows(), max_size=20))
@settings(deadline=None)
def test_round_trip(drawn: list[tuple[int, int, tuple[Coded, ...], bytes]]) -> None:
    listed, offset, target = [], 0, 0
    for row in drawn:
        listed.append(Chunk(offset, target, *row))
        offset, target = offset + listed[-1].length, target + row[0]
    table = chunk_table.encode(listed)

    assert listed == chunk_table.decode(table, offset + len(table), target)
    assert len(table) == chunk_table.table_length(table[-TAIL.size :])


@pytest.mark.parametrize("length", range(len(GOLDEN)))
def test_truncated_table_is_refused(length: int) -> None:
    for part in (GOLDEN[:length], GOLDEN[len(GOLDEN) - length :]):
        with pytest.raises(PayloadError):
            chunk_table.decode(part, CODED + length, SIZE)


@pytest.mark.parametrize("position", range(len(GOLDEN)))
def test_every_flipped_bit_is_refused(position: int) -> None:
    for bit in range(8):
        damaged = bytearray(GOLDEN)
        damaged[position] ^= 1 << bit
        with pytest.raises(PayloadError):
            chunk_table.decode(bytes(damaged), LENGTH, SIZE)


@given(st.integers(0, len(GOLDEN) - 29), st.binary(min_size=1, max_size=4))
@settings(deadline=None, max_examples=300)
def test_mutated_table_with_a_right_checksum_is_read_or_refused(at: int, data: bytes) -> None:
    damaged = bytearray(GOLDEN[:-4])
    damaged[at : at + len(data)] = data[: len(damaged) - at]
    damaged += struct.pack("<I", zlib.crc32(damaged))
    try:
        found = chunk_table.decode(bytes(damaged), LENGTH, SIZE)
    except PayloadError as exc:
        assert exc.hint
    else:
        assert (CODED, SIZE) == (sum(c.length for c in found), sum(c.size for c in found))


def table(*listed: bundles.Chunk, **claims: Any) -> tuple[bytes, int, int]:
    """Return a table, and the sizes of a section and an original that go with it."""
    found = bundles.chunk_table([chunk.row for chunk in listed], **claims)
    length = sum(len(chunk.data) for chunk in listed)
    return found, length + len(found), sum(len(chunk.original) for chunk in listed)


PLAIN_CHUNK = bundles.chunk(b"plain bytes", streams=[(0, b"plain bytes")])
F16 = bundles.chunk(bytes(8), 1, streams=[(0, bytes(4)), (0, bytes(4))])
FRAME = zstandard.ZstdCompressor().compress(PLAIN_CHUNK.row)


def row(size: int, kind: int, *streams: tuple[int, int]) -> bundles.Chunk:
    """Return a chunk with this very row: size, type, coding and length of each stream."""
    listed = b"".join(struct.pack("<BI", *stream) for stream in streams)
    made = struct.pack("<IBB16s", size, kind, len(streams), bytes(16)) + listed
    # What belongs to it need not exist: sizes alone are looked at.
    return bundles.Chunk(b"", b"", made)


LIES: dict[str, tuple[bytes, int, int]] = {
    "section is a byte longer": (GOLDEN, LENGTH + 1, SIZE),
    "section is a byte shorter": (GOLDEN, LENGTH - 1, SIZE),
    "section is shorter than its table": (GOLDEN, 10, SIZE),
    "original is a byte longer": (GOLDEN, LENGTH, SIZE + 1),
    "original is a byte shorter": (GOLDEN, LENGTH, SIZE - 1),
    "original is empty": (GOLDEN, LENGTH, 0),
    "table in front of the table": (GOLDEN * 2, LENGTH + len(GOLDEN), SIZE),
    "too few chunks": table(PLAIN_CHUNK, F16, chunks=1),
    "too many chunks": table(PLAIN_CHUNK, chunks=2),
    "most chunks": table(PLAIN_CHUNK, chunks=(1 << 64) - 1),
    "no chunks": table(PLAIN_CHUNK, chunks=0),
    "another magic": table(PLAIN_CHUNK, magic=b"MEPLANET"),
    "table too long": table(PLAIN_CHUNK, length=len(FRAME) + 1),
    "table too short": table(PLAIN_CHUNK, length=len(FRAME) - 1),
    "table longest": table(PLAIN_CHUNK, length=(1 << 32) - 1),
    "size of the table off by one": table(PLAIN_CHUNK, size=len(PLAIN_CHUNK.row) + 1),
    "size of the table zero": table(PLAIN_CHUNK, size=0),
    "wrong checksum": table(PLAIN_CHUNK, crc=0),
    "noise": table(PLAIN_CHUNK, packed=b"\xff" * 50),
    "empty frame": table(PLAIN_CHUNK, packed=b""),
    "frame that is cut": table(PLAIN_CHUNK, packed=FRAME[:-1]),
    "frame and more": table(PLAIN_CHUNK, packed=FRAME + b"more"),
    "two frames": table(PLAIN_CHUNK, packed=FRAME + FRAME),
    "skippable frame": table(PLAIN_CHUNK, packed=bundles.seek_table([])),
    "frame without its size": table(
        PLAIN_CHUNK,
        packed=zstandard.ZstdCompressor(write_content_size=False).compress(PLAIN_CHUNK.row),
    ),
    "row that is cut": table(bundles.Chunk(b"plain bytes", b"plain bytes", PLAIN_CHUNK.row[:-1])),
    "rows and more": table(
        bundles.Chunk(b"plain bytes", b"plain bytes", PLAIN_CHUNK.row + b"more")
    ),
    "chunk of nothing": table(PLAIN_CHUNK, row(0, PLAIN, (0, 0))),
    "chunk of nothing in no streams": table(PLAIN_CHUNK, row(0, PLAIN)),
    "chunk too large": (*table(row(bounds.CHUNK + 1, PLAIN, (1, 0)))[:2], bounds.CHUNK + 1),
    "largest chunk": (*table(row((1 << 32) - 1, PLAIN, (1, 0)))[:2], (1 << 32) - 1),
    "no streams": table(bundles.chunk(b"x", streams=[])),
    "too few streams": table(bundles.chunk(bytes(8), 1, streams=[(0, bytes(4))])),
    "too many streams": table(bundles.chunk(b"xx", streams=[(0, b"x"), (0, b"x")])),
    "far too many streams": table(
        bundles.chunk(b"x", streams=[(0, b"")] * (bounds.CHUNK_STREAMS + 1))
    ),
    "most streams": table(bundles.chunk(b"x", streams=[(0, b"")] * 255)),
    "more streams than listed": table(bundles.chunk(b"x", count=2)),
    "raw stream too short": table(bundles.chunk(b"xx", streams=[(0, b"x")])),
    "raw stream too long": table(bundles.chunk(b"xx", streams=[(0, b"xxx")])),
    "raw streams that only add up": table(
        bundles.chunk(bytes(8), 1, streams=[(0, bytes(3)), (0, bytes(5))])
    ),
    "coded stream longer than the chunk": table(bundles.chunk(b"xx", streams=[(1, b"xxx")])),
    "coded and raw longer than the chunk": table(
        bundles.chunk(bytes(8), 1, streams=[(0, bytes(4)), (1, bytes(5))])
    ),
    "longest stream": table(row(1, PLAIN, (1, (1 << 32) - 1))),
    "unknown coding": table(bundles.chunk(b"x", streams=[(2, b"x")])),
    "greatest coding": table(bundles.chunk(b"x", streams=[(255, b"x")])),
    "unknown type": table(bundles.chunk(b"x", kind=254, streams=[(0, b"x")])),
    "type that is never split": table(bundles.chunk(b"x", kind=24, streams=[(0, b"x")])),
    "records that are not whole": table(bundles.chunk(b"xxx", 1, streams=[(0, b"x"), (0, b"xx")])),
}


@pytest.mark.parametrize("lie", LIES)
def test_table_that_lies_is_refused(lie: str) -> None:
    data, length, size = LIES[lie]
    with pytest.raises(PayloadError) as caught:
        chunk_table.decode(data, length, size)

    assert caught.value.hint


def test_what_the_lies_are_made_of_is_sound() -> None:
    for listed in ([PLAIN_CHUNK], [PLAIN_CHUNK, F16], [], [bundles.chunk(b"x")]):
        found = chunk_table.decode(*table(*listed))

        assert [len(chunk.original) for chunk in listed] == [chunk.size for chunk in found]


@pytest.mark.parametrize(
    "tail", [b"", GOLDEN[-27:], b"\0" + GOLDEN[-28:], bytes(28), b"MEPLANET" + GOLDEN[-20:]]
)
def test_tail_that_is_none_is_refused(tail: bytes) -> None:
    with pytest.raises(PayloadError):
        chunk_table.table_length(tail)


def claiming(size: int) -> bytes:
    """Return a table that claims `size` bytes, zeros, and its frame does so too."""
    compressor = zstandard.ZstdCompressor().compressobj(size=size)
    zeros = bytes(1 << 20)
    parts = [compressor.compress(zeros[: min(len(zeros), size - at)])
             for at in range(0, size, len(zeros))]  # fmt: skip
    packed = b"".join([*parts, compressor.flush()])
    return bundles.chunk_table([], packed=packed, size=size, chunks=1 << 30)


@pytest.mark.parametrize("size", [SIZE, 1 << 40, (1 << 63) - 1])
def test_table_can_claim_no_more_than_the_file_has_need_of(size: int) -> None:
    # 64 MB in 6 kB: the size of the original is a claim as well, and no leave to allocate.
    data = claiming(64 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError, match="the chunk table claims 67108864 bytes"):
            chunk_table.decode(data, 1000 + len(data), size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1 << 20


def test_claim_of_gigabytes_is_refused_where_there_are_none(tmp_path: Path) -> None:
    header = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", (1 << 32) - 1)  # one segment of 4 GiB
    data = bundles.chunk_table([], packed=header + b"\x01\0\0", size=(1 << 32) - 1, chunks=1)
    part = bundles.planes_as(data, b"", size=(1 << 63) - 1)
    bundles.write(tmp_path / "chat", [part])
    code = (
        "import sys; from runtime.container import bundle_file\n"
        "from runtime.weights import decompress\n"
        "bundle = bundle_file.load(sys.argv[1])\n"
        "try: decompress.chunk_table_of(bundle, bundle.model)\n"
        "except decompress.PayloadError as exc: print(exc.render())"
    )
    limit = 1 << 30
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "chat"],
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip

    assert "" == done.stderr
    assert done.stdout.startswith("error: the chunk table claims 4294967295 bytes")


@pytest.mark.parametrize("listed", [TABLE_MIN // 27, 5 * TABLE_MIN // 27])
def test_table_in_proportion_is_read(listed: int) -> None:
    # Rows of 27 bytes for chunks of 4 KiB, each a frame of 13: as little as zeros take.
    data = bundles.chunk_table([row(4096, PLAIN, (1, 13)).row] * listed)

    assert listed == len(chunk_table.decode(data, 13 * listed + len(data), 4096 * listed))


def test_no_more_rows_are_written_than_are_read() -> None:
    with pytest.raises(PayloadError, match="too large to be compressed") as caught:
        chunk_table.encode(CHUNKS[:1] * (bounds.CHUNKS + 1))

    assert "--compress none" in caught.value.hint
