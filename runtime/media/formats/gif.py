"""GIF: blocks up to the end of its first picture, which is the one that is decoded."""

from __future__ import annotations

import struct

from runtime.media.formats.shape import Shape, damaged, require_parts, require_size

NAME = "GIF"
SCREEN = struct.Struct("<6sHHBBB")  # signature, width, height, flags, background, aspect
IMAGE = struct.Struct("<HHHHB")  # left, top, width, height, flags
EXTENSION, PICTURE = 0x21, 0x2C
CODE_MAX = 11
"""Bits that the first codes of pixels may have."""


def gif_shape(data: bytes) -> Shape:
    """Walk a GIF up to the end of its first picture; raise MediaError if it is damaged."""
    if len(data) < SCREEN.size:
        raise damaged(NAME, "it ends within its header")
    _, width, height, flags, _, _ = SCREEN.unpack_from(data)
    require_size(NAME, width, height)
    place, parts = SCREEN.size + _palette(flags), 0
    while True:
        require_parts(NAME, parts := parts + 1)
        kind = data[place] if place < len(data) else -1
        if kind == EXTENSION:
            place = _blocks(data, place + 2)
        elif kind == PICTURE:
            return Shape(width, height, _picture(data, place + 1, width, height, flags))
        else:
            raise damaged(NAME, "it ends before its first picture")


def _palette(flags: int) -> int:
    """Return the bytes of a palette, 0 if there is none."""
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _picture(data: bytes, place: int, width: int, height: int, screen: int) -> int:
    """Return where the picture at `place` ends."""
    if place + IMAGE.size > len(data):
        raise damaged(NAME, "it ends within a picture's header")
    left, top, across, down, flags = IMAGE.unpack_from(data, place)
    if not across or not down or left + across > width or top + down > height:
        raise damaged(NAME, "its first picture lies outside of it")
    if not (flags | screen) & 0x80:
        raise damaged(NAME, "its palette is missing")
    place += IMAGE.size + _palette(flags)
    bits = data[place] if place < len(data) else 0
    if not 1 <= bits <= CODE_MAX:
        raise damaged(NAME, f"its pixels have codes of {bits} bits")
    end = _blocks(data, place + 1)
    if end == place + 2:
        raise damaged(NAME, "it has no pixels")
    return end


def _blocks(data: bytes, place: int) -> int:
    """Return what follows the blocks at `place`, each of which says how long it is; 0 ends them."""
    count = 0
    while place < len(data):
        require_parts(NAME, count := count + 1)
        length = data[place]
        place += 1 + length
        if not length:
            return place
    raise damaged(NAME, "it ends within a block")
