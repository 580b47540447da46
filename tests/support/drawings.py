"""Drawn pictures for tests, as PNG: shapes of one colour on another, made without a library."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""Rows, columns, red green blue."""

COLORS = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "red": (220, 30, 30),
    "green": (30, 160, 60),
    "blue": (30, 60, 220),
    "yellow": (240, 210, 40),
}
SHAPES = ("circle", "square", "triangle")


def draw(
    shape: str, color: str, *, width: int = 96, height: int = 96, ground: str = "white"
) -> Pixels:
    """Return a picture of a `shape` in the middle, half as large as the picture."""
    pixels: Pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = COLORS[ground]
    y, x = np.mgrid[0:height, 0:width]
    u, v = (x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1  # from -1 to 1
    inside = {
        "circle": u * u + v * v < 0.25,
        "square": (abs(u) < 0.5) & (abs(v) < 0.5),
        "triangle": (v < 0.5) & (v > -0.5) & (abs(u) < (v + 0.5) / 2),
    }[shape]
    pixels[inside] = COLORS[color]
    return pixels


def png(pixels: Pixels) -> bytes:
    """Return `pixels` as a PNG file."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: no filter
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, red green blue
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def gallery() -> dict[str, bytes]:
    """Return ten pictures as PNG by what they show, of several sizes and proportions."""
    sizes = [(96, 96), (64, 64), (160, 96), (96, 160), (224, 224), (57, 33), (300, 200)]
    found = {}
    for number in range(10):
        shape, color = SHAPES[number % 3], ("red", "green", "blue", "yellow", "black")[number % 5]
        width, height = sizes[number % len(sizes)]
        found[f"{color} {shape} {width}x{height}"] = png(
            draw(shape, color, width=width, height=height)
        )
    return found
