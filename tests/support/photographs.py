"""A drawing as a photograph: lying on its side, with the camera's note of how it was held."""

from __future__ import annotations

import drawings
import numpy as np
from encoded_pictures import chunk, exif


def circle_above_square() -> bytes:
    """Return a drawing as a camera that was held sideways has it, with its note of that."""
    y, x = np.mgrid[0:160, 0:160]
    pixels = np.full((160, 160, 3), 255, np.uint8)
    pixels[(x - 80) ** 2 + (y - 45) ** 2 < 28**2] = drawings.COLORS["red"]
    pixels[(abs(x - 80) < 25) & (abs(y - 115) < 25)] = drawings.COLORS["blue"]
    lying = drawings.png(np.ascontiguousarray(np.rot90(pixels)))
    return lying[:33] + chunk(b"eXIf", exif(6)) + lying[33:]
