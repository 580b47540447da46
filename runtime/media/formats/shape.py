"""Shape of a picture: what its file says before its pixels are decoded, held to the bounds."""

from __future__ import annotations

from dataclasses import dataclass

from runtime import bounds
from runtime.errors import MediaError
from runtime.units import amount

AGAIN = "copy it again, or save it anew"
SMALLER = "make it smaller"


@dataclass(frozen=True)
class Shape:
    """Size of a picture, and where it ends in its file."""

    width: int
    height: int
    end: int
    orientation: int = 1


def damaged(name: str, what: str) -> MediaError:
    """Return the error for a picture of the format `name` in which something is not as it must."""
    return MediaError(f"the {name} is damaged: {what}", hint=AGAIN)


def require_parts(name: str, count: int) -> None:
    """Raise MediaError if a picture has more segments, chunks or blocks than it may."""
    if count > bounds.PICTURE_PARTS:
        raise MediaError(
            f"the {name} has more than {bounds.PICTURE_PARTS:,} parts", hint="save it anew"
        )


def require_size(name: str, width: int, height: int) -> None:
    """Raise MediaError unless a picture has a size that may be decoded."""
    if width <= 0 or height <= 0:
        raise damaged(name, f"it claims {width:,} × {height:,} pixels")
    if max(width, height) > bounds.PICTURE_SIDE:
        raise MediaError(
            f"the picture is {width:,} × {height:,} pixels large, a side may have "
            f"{bounds.PICTURE_SIDE:,}",
            hint=SMALLER,
        )
    if width * height > bounds.PICTURE_PIXELS:
        raise MediaError(
            f"the picture has {amount(width * height)} pixels, "
            f"at most {amount(bounds.PICTURE_PIXELS)} are decoded",
            hint=SMALLER,
        )
