"""Compressed sections whose seek tables or frames lie; `inspect` does not look, `verify` does."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles
import zstandard

COMMAND, CODES = "verify", (1,)
HELLO = zstandard.ZstdCompressor(write_checksum=True).compress(b"hello")
TEBI_FRAMES = (1 << 40) // (64 << 20)


def coded(data: bytes, size: int = 5, **entry: Any) -> Callable[[Path], object]:
    part = bundles.coded_as(data, b"hello", **{"size": size, **entry})
    return lambda path: bundles.write(path, [part])


def frames(*listed: tuple[bytes, int]) -> Callable[[Path], object]:
    """Return a builder of a section of frames, each with the size that the table claims."""
    table = bundles.seek_table([(len(data), size) for data, size in listed])
    data = b"".join(data for data, _ in listed)
    return coded(data + table, sum(size for _, size in listed))


def alike(count: int, data: bytes, size: int) -> Callable[[Path], object]:
    """Return a builder of many frames, each the same."""

    def build(path: Path) -> None:
        table = bundles.seek_table([(len(data), size)] * count)
        coded(data * count + table, size * count)(path)

    return build


ATTACKS: dict[str, Callable[[Path], object]] = {
    "nothing": coded(b""),
    "too-short": coded(b"12345678"),
    "too-short-at-the-start": lambda path: bundles.write(
        path, [bundles.coded_as(b"1234", b"hello", offset=0)], launcher=b""
    ),
    "no-table": coded(HELLO),
    "count-huge": coded(HELLO + struct.pack("<IBI", (1 << 32) - 1, 0, 0x8F92EAB1)),
    "count-beyond-the-section": coded(HELLO + struct.pack("<IBI", 1 << 20, 0, 0x8F92EAB1)),
    "checksum-flag": coded(
        HELLO + bundles.seek_table([(len(HELLO), 5)])[:-5] + b"\x80\xb1\xea\x92\x8f"
    ),
    "covers-less": coded(HELLO + b"gap" + bundles.seek_table([(len(HELLO), 5)])),
    "covers-more": coded(HELLO + bundles.seek_table([(len(HELLO) + 9, 5)])),
    "size-differs": coded(HELLO + bundles.seek_table([(len(HELLO), 5)]), size=6),
    "frame-too-large": frames((HELLO, (64 << 20) + 1)),
    "frame-max": frames((HELLO, (1 << 32) - 1)),
    "frame-empty": frames((b"", 5)),
    "frames-empty": alike(1_000_000, b"", 0),
    "frames-a-million": alike(1_000_000, b"x", 1),
    "frames-many": alike(1 << 15, b"x", 1),
    "frame-of-noise": frames((b"\xff" * 30, 5)),
    "frame-shorter": frames((HELLO, 6)),
    "frame-longer": frames((HELLO, 4)),
    "frames-swapped": frames((HELLO, 4), (HELLO, 6)),
    "content-size-huge": frames((HELLO[:4] + b"\xe4" + struct.pack("<Q", 1 << 60), 5)),
    "window-huge": frames((b"\x28\xb5\x2f\xfd\x00\xff" + b"\x01\x00\x00", 5)),
    "hash-differs": coded(HELLO + bundles.seek_table([(len(HELLO), 5)]), sha256="0" * 64),
    "a-tebibyte": frames(*[(b"x", 64 << 20)] * TEBI_FRAMES),
}
