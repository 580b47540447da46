"""A small picture and a short sound, drawn without a library, for self-checks to ask about."""

from __future__ import annotations

import math
import struct
import zlib

SIDE = 64
"""Pixels of the picture's sides."""
RATE, SECONDS, PITCH = 16_000, 1, 440
"""Of the sound: samples a second, its length, and what note it is in hertz."""
RED, WHITE = b"\xe0\x20\x20", b"\xff\xff\xff"


def picture() -> bytes:
    """Return a red square on white, as a PNG file."""
    inside = range(SIDE // 4, 3 * SIDE // 4)
    rows = (b"".join(RED if x in inside and y in inside else WHITE for x in range(SIDE))
            for y in range(SIDE))  # fmt: skip
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)  # 8 bits each of three colours
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def sound() -> bytes:
    """Return a tone, as a WAV file."""
    samples = (
        round(8000 * math.sin(2 * math.pi * PITCH * i / RATE)) for i in range(RATE * SECONDS)
    )
    data = b"".join(struct.pack("<h", sample) for sample in samples)
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)  # whole numbers, one channel
    head = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form
    head += b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
