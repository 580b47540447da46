"""Draw one shape or two, and say what is drawn as the demo model with its eye does.

Made without the scripts that drew what the eye was trained on (tools/sees).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
from drawings import Pixels, png

Mask = npt.NDArray[np.bool_]
COLORS = {
    "red": (225, 25, 25),
    "orange": (255, 130, 10),
    "yellow": (250, 230, 20),
    "green": (30, 170, 60),
    "blue": (30, 60, 220),
    "purple": (150, 40, 190),
}
GROUNDS = ((255, 255, 255), (255, 255, 255), (0, 0, 0), (225, 235, 245))
SIZES = ((60, 60), (96, 96), (160, 120), (120, 160), (320, 320), (300, 220))  # width, height
ABOVE, LEFT = "above", "to the left of"


@dataclass(frozen=True)
class Scene:
    """A picture, and what is to be said about it."""

    caption: str
    png: bytes


def scenes(count: int, seed: int = 0) -> Iterator[Scene]:
    """Yield pictures, of one shape each third time and of two otherwise."""
    random = Random(seed)
    for number in range(count):
        relation = (None, ABOVE, LEFT)[number % 3]
        things = [
            (random.choice(list(COLORS)), random.choice(list(SHAPES)))
            for _ in range(1 if relation is None else 2)
        ]
        size = SIZES[number % len(SIZES)]
        pixels = _drawn(things, relation, size, GROUNDS[number % len(GROUNDS)], random)
        yield Scene(_caption(things, relation), png(pixels))


def _caption(things: list[tuple[str, str]], relation: str | None) -> str:
    names = [f"{'an' if color[0] in 'o' else 'a'} {color} {shape}" for color, shape in things]
    text = f" {relation} ".join(names)
    return f"{text[0].upper()}{text[1:]}."


def _drawn(
    things: list[tuple[str, str]],
    relation: str | None,
    size: tuple[int, int],
    ground: tuple[int, int, int],
    random: Random,
) -> Pixels:
    width, height = size
    pixels: Pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = ground
    for number, (color, shape) in enumerate(things):
        radius = random.uniform(0.2, 0.23) * min(size)
        along = 0.5 if relation is None else (0.25, 0.75)[number]
        across = 0.5 + random.uniform(-0.1, 0.1)
        x, y = (along, across) if relation == LEFT else (across, along)
        inside = SHAPES[shape](*_around(x * width, y * height, width, height), radius)
        pixels[inside] = COLORS[color]
    return pixels


def _around(
    x: float, y: float, width: int, height: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how far right of and below a point each pixel is."""
    rows, columns = np.mgrid[0:height, 0:width]
    return columns + 0.5 - x, rows + 0.5 - y


def _circle(u: npt.NDArray[np.float64], v: npt.NDArray[np.float64], radius: float) -> Mask:
    return np.asarray(u * u + v * v < radius * radius)


def _square(u: npt.NDArray[np.float64], v: npt.NDArray[np.float64], radius: float) -> Mask:
    side = radius / math.sqrt(2)
    return np.asarray((abs(u) < side) & (abs(v) < side))


def _triangle(u: npt.NDArray[np.float64], v: npt.NDArray[np.float64], radius: float) -> Mask:
    """With sides of equal length, standing on one."""
    return np.asarray((v < radius / 2) & (abs(u) < (v + radius) / math.sqrt(3)))


def _star(u: npt.NDArray[np.float64], v: npt.NDArray[np.float64], radius: float) -> Mask:
    """With five points: where a pixel is inside of at least four of the five lines between them."""
    inner = radius * math.cos(2 * math.pi / 5)
    turns = [-math.pi / 2 + 2 * math.pi * (point + 0.5) / 5 for point in range(5)]
    lines = [np.asarray(u * math.cos(turn) + v * math.sin(turn) < inner) for turn in turns]
    return np.asarray(sum(line.astype(int) for line in lines) >= 4)


SHAPES = {"circle": _circle, "square": _square, "triangle": _triangle, "star": _star}
