"""PNG: chunks with their checksums, and whether the pixels unpack to what the header says."""

from __future__ import annotations

import struct
import zlib

from runtime import bounds
from runtime.errors import MediaError
from runtime.media.formats.orientation import UPRIGHT, orientation_of
from runtime.media.formats.shape import AGAIN, Shape, damaged, require_parts, require_size
from runtime.units import gigabytes

NAME = "PNG"
SIGNATURE = 8
HEAD = struct.Struct(">IIBBBBB")  # width, height, depth, colour, compression, filter, interlace
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits of a sample, by the type of colour."""
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
INDEXED = 3
ADAM7 = (
    (0, 8, 0, 8),
    (4, 8, 0, 8),
    (0, 4, 4, 8),
    (2, 4, 0, 4),
    (0, 2, 2, 4),
    (1, 2, 0, 2),
    (0, 1, 1, 2),
)
"""First column, step of columns, first row and step of rows of each pass of an interlaced one."""
STEP = 1 << 20


def png_shape(data: bytes) -> Shape:
    """Walk a PNG; raise MediaError if it is damaged, or larger than it may be.

    Of an animated one the first picture alone is decoded, which is what its IDAT chunks have.
    """
    place, first, orientation = SIGNATURE, True, UPRIGHT
    width = height = colour = 0
    palette = parts = 0
    pixels: _Pixels | None = None
    while True:
        require_parts(NAME, parts := parts + 1)
        if place + 12 > len(data):
            raise damaged(NAME, "it ends before its last chunk")
        (length,) = struct.unpack_from(">I", data, place)
        kind, end = data[place + 4 : place + 8], place + 12 + length
        if end > len(data):
            raise damaged(NAME, f"a chunk claims {length:,} bytes, which are not there")
        body = memoryview(data)[place + 8 : end - 4]
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise damaged(NAME, "a chunk has another checksum than its bytes")
        if kind == b"CgBI":
            raise MediaError("the picture is a PNG in Apple's own form", hint="save it anew as PNG")
        if first != (kind == b"IHDR"):
            raise damaged(NAME, "its header is not its first chunk, or is there twice")
        if kind == b"IHDR":
            width, height, colour, bits, interlaced = _head(body)
            size = _size(width, height, bits, interlaced)
            if size > bounds.PICTURE_UNPACKED:
                raise MediaError(
                    f"the PNG unpacks to {gigabytes(size)}, "
                    f"at most {gigabytes(bounds.PICTURE_UNPACKED)} are decoded",
                    hint="make it smaller, or save it with 8 bits for each colour",
                )
            pixels = _Pixels(size)
            first = False
        elif kind == b"PLTE":
            palette = length // 3
            if length % 3 or not 0 < palette <= 256:
                raise damaged(NAME, f"its palette has {length} bytes")
        elif kind == b"eXIf":
            orientation = orientation_of(bytes(body))
        elif kind == b"IDAT" and pixels:
            if colour == INDEXED and not palette:
                raise damaged(NAME, "its palette is missing")
            pixels.feed(body)
        elif kind == b"IEND" and pixels:
            pixels.close()
            return Shape(width, height, end, orientation)
        place = end


def _head(body: memoryview) -> tuple[int, int, int, int, bool]:
    """Return width, height, type of colour, bits of a pixel, and whether it is interlaced."""
    if len(body) != HEAD.size:
        raise damaged(NAME, f"its header has {len(body)} bytes")
    width, height, depth, colour, compression, filtering, interlace = HEAD.unpack(body)
    require_size(NAME, width, height)
    if depth not in DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise damaged(NAME, "its header says what no PNG has")
    return width, height, colour, depth * SAMPLES[colour], bool(interlace)


def _size(width: int, height: int, bits: int, interlaced: bool) -> int:
    """Return how many bytes the pixels unpack to: of each row, a filter and its samples."""
    sizes = [(width, height)]
    if interlaced:
        sizes = [
            (-((left - width) // across), -((top - height) // down))
            for left, across, top, down in ADAM7
        ]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0)


class _Pixels:
    """Unpacks pixels and counts them; never more than a step of them is in memory."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._stream = zlib.decompressobj()

    def feed(self, data: memoryview) -> None:
        """Unpack the bytes of a chunk; raise MediaError if they are more than they should be."""
        rest: bytes | memoryview = data
        try:
            while rest and not self._stream.eof:  # what stands behind the end is not unpacked
                self._left -= len(self._stream.decompress(rest, STEP))
                if self._left < 0:
                    raise MediaError("the PNG unpacks to more than its pixels", hint=AGAIN)
                rest = self._stream.unconsumed_tail
        except zlib.error as exc:
            raise damaged(NAME, str(exc)) from exc

    def close(self) -> None:
        """Raise MediaError if pixels are missing."""
        self._left -= len(self._stream.flush())
        if self._left or not self._stream.eof:
            raise damaged(NAME, "pixels are missing, or are more than its header says")
