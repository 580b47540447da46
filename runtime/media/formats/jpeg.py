"""JPEG: segments up to the end of the picture, its size, and how often its pixels are gone over."""

from __future__ import annotations

import re
import struct

from runtime import bounds
from runtime.errors import MediaError
from runtime.media.formats.orientation import UPRIGHT, orientation_of
from runtime.media.formats.shape import Shape, damaged, require_size

NAME = "JPEG"
DECODED = (0xC0, 0xC1, 0xC2)
"""Frames that the engine decodes: baseline, extended and progressive, with Huffman codes."""
OTHERS = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
"""Lossless, hierarchical and arithmetic ones, which hardly anything reads."""
SCAN, END, APP1 = 0xDA, 0xD9, 0xE1
BARE = (0x01, *range(0xD0, 0xD8))
"""Markers without a segment."""
MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.S)
"""A marker in coded pixels, which a zero stands behind otherwise, or a number to restart at."""
EXIF = b"Exif\0\0"


def jpeg_shape(data: bytes) -> Shape:
    """Walk a JPEG; raise MediaError if it is damaged, or larger than it may be.

    What follows its end is not of it: telephones put films and further pictures there.
    """
    place, orientation = 2, UPRIGHT
    width = height = passes = 0
    while True:
        marker, place = _marker(data, place)
        if marker == END:
            if not passes:
                raise damaged(NAME, "it has no pixels")
            return Shape(width, height, place, orientation)
        if marker in BARE:
            continue
        body = _segment(data, place)
        place += 2 + len(body)
        if marker in OTHERS:
            raise MediaError(
                "the JPEG is lossless, hierarchical or arithmetically coded", hint="save it anew"
            )
        if marker in DECODED:
            if width:
                raise damaged(NAME, "it has two frames")
            width, height = _size(body)
        elif marker == APP1 and body.startswith(EXIF):
            orientation = orientation_of(body[len(EXIF) :])
        elif marker == SCAN:
            if not width:
                raise damaged(NAME, "its pixels begin before its size")
            passes += 1
            _require_passes(passes, width * height)
            found = MARKER.search(data, place)
            if found is None:
                raise damaged(NAME, "it ends within its pixels")
            place = found.start()


def _marker(data: bytes, place: int) -> tuple[int, int]:
    """Return the marker at `place`, and where its segment begins."""
    found = MARKER.match(data, place)
    if found is None:
        if place >= len(data):
            raise damaged(NAME, "it ends before its last marker")
        raise damaged(NAME, f"there is no marker at byte {place:,}")
    return found[1][0], found.end()


def _segment(data: bytes, place: int) -> bytes:
    """Return what the segment at `place` has behind its length."""
    length = int.from_bytes(data[place : place + 2], "big")
    if length < 2 or place + length > len(data):
        raise damaged(NAME, f"a segment claims {length:,} bytes, which are not there")
    return data[place + 2 : place + length]


def _size(body: bytes) -> tuple[int, int]:
    """Return width and height, from the segment that begins a frame."""
    if len(body) < 6:
        raise damaged(NAME, "its size is missing")
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    if precision != 8:
        raise MediaError(f"the JPEG has {precision} bits in a sample, not 8", hint="save it anew")
    if components not in (1, 3, 4) or len(body) != 6 + 3 * components:
        raise damaged(NAME, f"it claims {components} colours")
    require_size(NAME, width, height)
    return width, height


def _require_passes(passes: int, pixels: int) -> None:
    if passes * pixels > bounds.PICTURE_PASSES:
        raise MediaError(
            f"the JPEG goes {passes} times over its {pixels:,} pixels, together at most "
            f"{bounds.PICTURE_PASSES:,}",
            hint="save it anew, not progressive",
        )
