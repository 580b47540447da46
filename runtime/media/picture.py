"""Picture: the bytes of a file, of a format that the engine decodes, looked through in bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from runtime import bounds
from runtime.errors import MediaError
from runtime.media.formats.bmp import bmp_shape
from runtime.media.formats.gif import gif_shape
from runtime.media.formats.jpeg import jpeg_shape
from runtime.media.formats.png import png_shape
from runtime.media.formats.shape import Shape
from runtime.media.formats.unread import A_PICTURE, refusal
from runtime.units import gigabytes

FORMATS: Mapping[bytes, tuple[str, Callable[[bytes], Shape]]] = {
    b"\x89PNG\r\n\x1a\n": ("png", png_shape),
    b"\xff\xd8\xff": ("jpeg", jpeg_shape),
    b"GIF87a": ("gif", gif_shape),
    b"GIF89a": ("gif", gif_shape),
    b"BM": ("bmp", bmp_shape),
}
"""By what files begin with: what the engine's decoder reads, but for what hardly anybody has."""


@dataclass(frozen=True)
class Picture:
    """A picture that was looked through; its pixels are decoded by the engine."""

    data: bytes
    """Of the file, up to the end of its only or first picture: what follows is not decoded."""
    format: str
    """`png`, `jpeg`, `gif` or `bmp`."""
    width: int
    height: int
    digest: str
    """SHA-256 of `data`, in hexadecimal."""
    orientation: int = 1
    """How a camera was held, 1 to 8 as EXIF has it; 1 is upright."""


def is_picture(data: bytes) -> bool:
    """Return whether a file begins as a picture that is read."""
    return any(map(data.startswith, FORMATS))


def read_picture(data: bytes) -> Picture:
    """Look through a picture's file; raise MediaError if it is none that the engine may decode."""
    if len(data) > bounds.PICTURE:
        raise MediaError(
            f"the picture has {gigabytes(len(data))}, at most {gigabytes(bounds.PICTURE)} are read",
            hint="make it smaller",
        )
    for magic, (name, shape_of) in FORMATS.items():
        if data.startswith(magic):
            shape = shape_of(data)
            whole = data[: shape.end]
            return Picture(
                whole, name, shape.width, shape.height, sha256(whole).hexdigest(), shape.orientation
            )
    raise refusal(data, A_PICTURE)
