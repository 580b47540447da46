"""Pictures that take the decoder as long as the bounds let them, and such as took it far longer.

They are small files, or such as look whole: what costs is how often their pixels are gone over.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from encoded_pictures import (
    PASSES,
    QUANTA,
    RGB,
    RGBA,
    SAMPLES,
    TABLES,
    codes,
    frame,
    png,
    scan,
)

from runtime import bounds

SIDE = 8192
"""Its square is PICTURE_PIXELS."""
PAETH = 4
"""The filter of PNG that takes longest."""
EMPTY_BLOCKS = bytes.fromhex("02082080 00".replace(" ", ""))
"""Four blocks of packed pixels with fixed codes, and nothing in them."""
SECOND_SCAN = b"\0\0\0"
"""Coded bits of a scan that refines, which would end before its first sample without any."""


def interlaced(width: int, height: int, depth: int, colour: int) -> bytes:
    """Return a PNG of seven passes, all of whose rows have the costliest filter."""
    packer = zlib.compressobj(1)
    parts = []
    for x, dx, y, dy in PASSES:
        columns = len(range(x, width, dx))
        row = bytes([PAETH]) + b"\x55" * ((columns * depth * SAMPLES[colour] + 7) // 8)
        parts += [packer.compress(row) for _ in range(len(range(y, height, dy)))]
    pixels = b"".join([*parts, packer.flush()])
    return png(width, height, depth, colour, interlaced=True, pixels=pixels)


def blocks(count: int) -> bytes:
    """Return a PNG of one pixel, before which there are empty blocks of packed pixels."""
    pixel = b"\0\1\2\3"
    stored = b"\1" + struct.pack("<HH", len(pixel), len(pixel) ^ 0xFFFF) + pixel
    packed = b"\x78\1" + EMPTY_BLOCKS * (count // 4) + stored
    return png(1, 1, pixels=packed + struct.pack(">I", zlib.adler32(pixel)))


def chain(width: int, height: int, size: int) -> bytes:
    """Return a GIF with so many bytes of codes, of which most stand for 4089 pixels each.

    Each code but the first is the one before and a pixel. Once the table is full, the last is said
    again and again, until the decoder's own table is full, and a code clears it.
    """
    clear, longest, room = 4, 4094, 8190
    bits = count = 0
    codes_of_one = bytearray()

    def put(code: int, length: int) -> None:
        nonlocal bits, count
        bits |= code << count
        count += length
        while count >= 8:
            codes_of_one.append(bits & 0xFF)
            bits >>= 8
            count -= 8

    put(clear, 3)
    while len(codes_of_one) < 8 * 12_000:  # as often as it takes to end with a whole byte
        length, known = 3, clear + 2
        put(0, length)
        while known < room:
            put(min(known, longest), length)
            known += 1
            if known & ((1 << length) - 1) == 0 and known <= 0xFFF:
                length += 1
        put(clear, length)
        if not count:
            break
    data = bytes(codes_of_one) * (size // len(codes_of_one) + 1)
    listed = b"".join(b"\xff" + data[at : at + 255] for at in range(0, size // 255 * 255, 255))
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x81, 0, 0) + bytes(range(12))
    return screen + b"," + struct.pack("<HHHHBB", 0, 0, width, height, 0, 2) + listed + b"\0;"


def refined(side: int, *, zeros: bool) -> bytes:
    """Return a progressive JPEG whose scans go over all coefficients, as often as they may.

    The first sets all of one colour, and the others look at each: `zeros` says whether they change
    none of them.
    """
    every, none = codes(1, 0, 1), codes(1, 0, 0)
    count = bounds.PICTURE_PASSES // side**2 - 4
    return b"".join([
        b"\xff\xd8", QUANTA, frame(side, side, kind=0xC2), TABLES, every, scan(last=0),
        part(1, 0, 1), none * zeros, part(1, 1, 0) * count, b"\xff\xd9",
    ])  # fmt: skip


def part(first: int, high: int, low: int) -> bytes:
    """Return a scan of the first colour, from the coefficient `first` on, for bits of a place."""
    begin = scan(1)
    return begin[:-3] + bytes([first, 63, high << 4 | low]) + SECOND_SCAN


def narrow(times: int = 1) -> bytes:
    """Return a JPEG one pixel wide, gone over as often as it may, or `times` as often.

    The decoder goes over 32 pixels in its place.
    """
    height = 512
    count = times * bounds.PICTURE_PASSES // (3 * 32 * height)
    head = QUANTA + frame(1, height, kind=0xC2, factors=0x44) + TABLES
    return b"\xff\xd8" + head + scan(last=0) * count + b"\xff\xd9"


def baseline() -> bytes:
    """Return a JPEG of four colours that has nothing left out."""
    head = QUANTA + frame(SIDE, SIDE, 4) + TABLES + codes(1, 0, 1)
    return b"\xff\xd8" + head + scan(4) + b"\xff\xd9"


def bitmap() -> bytes:
    """Return a BMP of one bit for each pixel."""
    header = struct.pack("<IiiHHIIIIII", 40, SIDE, SIDE, 1, 1, 0, 0, 0, 0, 0, 0)
    start = struct.pack("<IHHI", 62 + SIDE * SIDE // 8, 0, 0, 62)
    return b"BM" + start + header + bytes(8) + b"\x55" * (SIDE * SIDE // 8)


def taken() -> Mapping[str, bytes]:
    """Return the costliest files that are decoded."""
    return {
        "an interlaced PNG": interlaced(SIDE, SIDE, 8, RGB),
        "an interlaced PNG with alpha": interlaced(SIDE, SIDE - 1, 8, RGBA),
        "an interlaced PNG of 16 bits": interlaced(SIDE, SIDE // 2, 16, RGBA),
        "a PNG of empty blocks": blocks(bounds.PICTURE_PARTS - 8),
        "a GIF of long codes": chain(SIDE, SIDE, 30_000_000),
        "a GIF of one pixel with long codes": chain(1, 1, 30_000_000),
        "a JPEG of four colours": baseline(),
        "a progressive JPEG": refined(SIDE, zeros=False),
        "a progressive JPEG that changes little": refined(SIDE, zeros=True),
        "a narrow progressive JPEG": narrow(),
        "a BMP of one bit": bitmap(),
    }


def refused() -> Mapping[str, bytes]:
    """Return files that would take far longer still: seconds to minutes each."""
    scans = (scan(4) + SECOND_SCAN) * 7
    return {
        "a PNG of millions of empty blocks": blocks(26_000_000),
        "a JPEG that is coded again and again": baseline().replace(scan(4), scans),
        "a narrow JPEG of many scans": narrow(9),
        "a JPEG of many segments": b"\xff\xd8" + b"\xff\xfe\0\2" * 8_000_000,
    }
