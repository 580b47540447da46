"""BMP: header, palette, and whether all rows of pixels are there."""

from __future__ import annotations

import struct

from runtime.errors import MediaError
from runtime.media.formats.shape import Shape, damaged, require_size

NAME = "BMP"
FILE = 14
OLD, HEADERS = 12, (12, 40, 56, 108, 124)
"""Sizes of headers that the engine reads."""
DEPTHS = (1, 4, 8, 16, 24, 32)
PLAIN, FIELDS = 0, 3
"""Ways of compression that it reads: none, and none with places of the colours given."""


def bmp_shape(data: bytes) -> Shape:
    """Look at a BMP's header; raise MediaError if it is damaged, or rows are missing."""
    if len(data) < FILE + OLD:
        raise damaged(NAME, "it ends within its header")
    offset, size = struct.unpack_from("<II", data, 10)
    if size not in HEADERS or FILE + size > len(data):
        raise damaged(NAME, f"it claims a header of {size:,} bytes")
    compression = PLAIN
    if size == OLD:
        width, height, planes, depth = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, planes, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)  # negative where the top row comes first
    require_size(NAME, width, height)
    if planes != 1 or depth not in DEPTHS:
        raise damaged(NAME, f"it claims {planes} planes of {depth} bits")
    if compression not in (PLAIN, FIELDS) or (compression == FIELDS and depth not in (16, 32)):
        raise MediaError("the BMP is compressed", hint="convert it to PNG")
    row = (width * depth + 31) // 32 * 4
    end = offset + row * height
    if offset < FILE + size or end > len(data):
        raise damaged(NAME, "pixels are missing")
    return Shape(width, height, end)
