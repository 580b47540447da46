"""Compressed models whose own headers claim too much, and states that begin so: kilobytes each."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles

COMMAND, CODES = "inspect", (0, 1)
MIB64 = 64 << 20
ZEROS = bytes(MIB64)
U8, TEXT, ARRAY = 0, 8, 9


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def header(pairs: int, tensors: int = 0) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, tensors, pairs)


def array(kind: int, count: int) -> bytes:
    """Return a pair with an array, all but its elements."""
    return text(b"a") + struct.pack("<IIQ", ARRAY, kind, count)


@functools.cache
def zeros_chunk() -> bundles.Chunk:
    return bundles.chunk(ZEROS)


def going_on(start: bytes, pieces: int, **entry: Any) -> Callable[[Path], object]:
    """Return a builder of a model that begins like this, and goes on with gigabytes of zeros."""

    def build(path: Path) -> None:
        zeros = zeros_chunk()
        first = bundles.chunk(start + ZEROS[len(start) :])
        table = bundles.chunk_table([first.row] + [zeros.row] * (pieces - 1))
        content = first.data + zeros.data * (pieces - 1) + table
        part = bundles.planes_as(content, b"", size=pieces * MIB64, **entry)
        bundles.write(path, [part])

    return build


def repeating(row: bytes, start: bytes, **entry: Any) -> Callable[[Path], object]:
    """Return a builder of a part of 130 MiB that repeats `row` after its start."""

    def build(path: Path) -> None:
        many = bundles.chunk(row * ((10 << 20) // len(row)))
        chunks = [bundles.chunk(start), *[many] * 13]
        bundles.write(path, [bundles.planes(*chunks, **entry)])

    return build


STATE = {"name": "beginning", "kind": "state"}

ATTACKS: dict[str, Callable[[Path], object]] = {
    "array-of-gigabytes": going_on(header(1) + array(U8, 2 << 30), 40),
    "text-of-gigabytes": going_on(header(1) + text(b"a") + struct.pack("<IQ", TEXT, 2 << 30), 40),
    "texts-of-nothing": going_on(header(1) + array(TEXT, 1 << 22), 40),
    "texts-without-end": repeating(text(b"ab"), header(1) + array(TEXT, 1 << 23)),
    "pairs-without-end": going_on(header(1 << 28), 40),
    "tensors-without-end": going_on(header(0, 1 << 26), 40),
    "state-without-end": going_on(b"{", 40, **STATE),
    "state-of-objects": repeating(b"{},", b'{"tokens":[', **STATE),
}
