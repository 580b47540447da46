"""The seek table of older bundles: the bytes of zstd's format, and tables that lie."""

from __future__ import annotations

import shutil
import struct
import subprocess

import bundles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import bounds
from runtime.errors import PayloadError
from runtime.weights import zstd_seekable
from runtime.weights.zstd_seekable import Frame

GOLDEN = bytes.fromhex(
    "5e2a4d18"  # the magic of a skippable frame
    "19000000"  # 25 bytes follow
    "05000000 40000000"  # a frame of 5 bytes that restores to 64
    "07000000 00004000"  # one of 7 bytes that restores to 4 MiB
    "02000000 00 b1ea928f"  # 2 frames, no checksums, magic
)
FRAMES = [Frame(0, 5, 0, 64), Frame(5, 7, 64, 4 << 20)]
LENGTH, SIZE = 12 + len(GOLDEN), 64 + (4 << 20)


def test_table_is_golden() -> None:
    assert GOLDEN == bundles.seek_table([(5, 64), (7, 4 << 20)])
    assert FRAMES == zstd_seekable.decode(GOLDEN, LENGTH, SIZE)
    assert len(GOLDEN) == zstd_seekable.table_length(GOLDEN[-9:])


SIZES = st.lists(
    st.tuples(st.integers(1, (1 << 32) - 1), st.integers(1, bounds.FRAME)), max_size=50
)


@given(SIZES)
@settings(deadline=None)
def test_round_trip(sizes: list[tuple[int, int]]) -> None:
    table = bundles.seek_table(sizes)
    coded, original = (sum(column) for column in zip(*sizes, strict=True)) if sizes else (0, 0)

    frames = zstd_seekable.decode(table, coded + len(table), original)
    assert sizes == [(frame.length, frame.size) for frame in frames]
    assert len(table) == zstd_seekable.table_length(table[-9:])


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        GOLDEN[-8:],
        b"\0" + GOLDEN[-9:],
        struct.pack("<IBI", 2, 0, 0x8F92EAB2),  # another magic
        struct.pack("<IBI", 2, 0x80, 0x8F92EAB1),  # rows with checksums, which we do not write
        struct.pack("<IBI", bounds.FRAMES + 1, 0, 0x8F92EAB1),
        struct.pack("<IBI", (1 << 32) - 1, 0, 0x8F92EAB1),
    ],
)
def test_tail_that_is_none_is_refused(tail: bytes) -> None:
    with pytest.raises(PayloadError):
        zstd_seekable.table_length(tail)


@pytest.mark.parametrize(
    ("table", "length", "size"),
    [
        (GOLDEN, LENGTH - 1, SIZE),
        (GOLDEN, LENGTH + 1, SIZE),
        (GOLDEN, LENGTH, SIZE - 1),
        (GOLDEN, LENGTH, SIZE + 1),
        (GOLDEN, 0, SIZE),
        (b"\0" + GOLDEN[1:], LENGTH, SIZE),
        (GOLDEN[:4] + b"\x18" + GOLDEN[5:], LENGTH, SIZE),
        (bundles.seek_table([(5, bounds.FRAME + 1)]), 30, bounds.FRAME + 1),
        (bundles.seek_table([(0xFFFFFFFF, bounds.FRAME)] * 4), 66, 4 * bounds.FRAME),
    ],
)
def test_table_that_lies_is_refused(table: bytes, length: int, size: int) -> None:
    with pytest.raises(PayloadError):
        zstd_seekable.decode(table, length, size)


@pytest.mark.parametrize("length", range(len(GOLDEN)))
def test_truncated_table_is_refused(length: int) -> None:
    with pytest.raises(PayloadError):
        zstd_seekable.decode(GOLDEN[:length], 12 + length, SIZE)


@pytest.mark.skipif(not shutil.which("zstd"), reason="there is no zstd program")
def test_zstd_itself_decodes_a_section() -> None:
    original = b"one frame after the other " * 1000
    done = subprocess.run(
        ["zstd", "-dc"],
        input=bundles.zstd(original, frame=5000).data,
        capture_output=True,
        check=True,
    )

    assert original == done.stdout
