"""Turning a photograph upright: cameras note how they were held, and leave the pixels as is."""

from __future__ import annotations


def turned(rgb: bytes, width: int, height: int, orientation: int) -> tuple[bytes, int, int]:
    """Return the pixels (three bytes each, row by row) upright, with their width and height.

    `orientation` is that of a `Picture`. Pictures of the user's own files are turned; those that
    come by the API are decoded as they are, as llama-server does it.
    """
    if orientation not in range(2, 9):
        return rgb, width, height
    if orientation >= 5:  # rows are columns
        rgb, width, height = _transposed(rgb, width, height), height, width
    flips_rows = orientation in (3, 4, 7, 8)
    flips_columns = orientation in (2, 3, 6, 7)
    stride = 3 * width
    rows = range(0, stride * height, stride)
    if not flips_columns:
        return (
            b"".join(rgb[at : at + stride] for at in (reversed(rows) if flips_rows else rows)),
            width,
            height,
        )
    made = bytearray(len(rgb))
    for at, source in zip(rows, reversed(rows) if flips_rows else rows, strict=True):
        for channel in range(3):
            row = rgb[source + channel : source + stride : 3]
            made[at + channel : at + stride : 3] = row[::-1]
    return bytes(made), width, height


def _transposed(rgb: bytes, width: int, height: int) -> bytes:
    """Return the pixels with rows and columns exchanged."""
    made = bytearray(len(rgb))
    stride = 3 * width
    for column in range(width):
        for channel in range(3):
            begin = 3 * column + channel
            made[3 * height * column + channel : 3 * height * (column + 1) : 3] = rgb[begin::stride]
    return bytes(made)
