"""Orientation of photographs: the one field of EXIF that is read, 1 to 8 (TIFF 6.0, tag 274)."""

from __future__ import annotations

import struct

UPRIGHT = 1
TAG, SHORT = 274, 3
ENTRY = 12
ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def orientation_of(exif: bytes) -> int:
    """Return the orientation that `exif`, a TIFF header and its fields, says; upright by default.

    It is a remark on a picture: one that cannot be read is none.
    """
    order = ORDERS.get(exif[:4])
    if order is None or len(exif) < 8:
        return UPRIGHT
    (begin,) = struct.unpack_from(f"{order}I", exif, 4)
    if begin + 2 > len(exif):
        return UPRIGHT
    (count,) = struct.unpack_from(f"{order}H", exif, begin)  # at most 65,535
    for place in range(begin + 2, min(begin + 2 + count * ENTRY, len(exif) - ENTRY + 1), ENTRY):
        tag, kind, values, value = struct.unpack_from(f"{order}HHIH", exif, place)
        if tag == TAG:
            return value if kind == SHORT and values == 1 and 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
