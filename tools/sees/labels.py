"""Say of every patch of a drawing what it shows, to teach the encoder with before it can speak."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from drawings import COLOURS, RELATIONS, SHAPES, Place, Scene
from encoder import EyeShape

ASPECTS = ("which thing", "its colour", "its shape", "the relation")
CLASSES = (3, 1 + len(COLOURS), 1 + len(SHAPES), 1 + len(RELATIONS))  # 0 is none, of each
BACKGROUND_WEIGHT = 0.1  # of patches without a thing: most are
THING_SHARE = 0.7  # of the square of a thing's radius: patches farther out may show its edge only


def labels(scene: Scene, size: tuple[int, int], places: Sequence[Place], shape: EyeShape) -> Tensor:
    """Return the classes (aspects, patches) of a drawing of `size` pixels."""
    scale = shape.image_size / max(size)
    left, top = ((shape.image_size - length * scale) / 2 for length in size)
    across = shape.image_size // shape.patch_size
    middles = (torch.arange(across) + 0.5) * shape.patch_size
    found = torch.zeros(len(ASPECTS), shape.patches, dtype=torch.long)
    found[3] = 0 if scene.relation is None else 1 + RELATIONS.index(scene.relation)
    for number, (thing, place) in enumerate(zip(scene.things, places, strict=True), start=1):
        x, y = place.x * scale + left, place.y * scale + top
        distance = ((middles - x) ** 2 + (middles.unsqueeze(1) - y) ** 2).flatten()
        near = THING_SHARE * (place.radius * scale) ** 2
        inside = (distance < near) | (distance == distance.min())
        found[0][inside] = number
        found[1][inside] = 1 + COLOURS.index(thing.colour)
        found[2][inside] = 1 + SHAPES.index(thing.shape)
    return found


def batch_labels(
    scenes: Sequence[Scene],
    drawn: Sequence[tuple[Image.Image, Sequence[Place]]],
    shape: EyeShape,
) -> Tensor:
    """Return the classes (drawings, aspects, patches)."""
    return torch.stack(
        [
            labels(scene, image.size, places, shape)
            for scene, (image, places) in zip(scenes, drawn, strict=True)
        ]
    )


class PatchClassifier(nn.Module):
    """Guess the classes of patches from what the encoder makes of them; not part of the result."""

    def __init__(self, shape: EyeShape) -> None:
        super().__init__()
        self._guess = nn.Linear(shape.embedding_length, sum(CLASSES))

    def loss(self, features: Tensor, wanted: Tensor) -> Tensor:
        """Return how far the guesses are from the classes (drawings, aspects, patches)."""
        total = torch.zeros(())
        for aspect, guesses in enumerate(self._guess(features).split(CLASSES, -1)):
            weights = torch.ones(CLASSES[aspect])
            if ASPECTS[aspect] in ("its colour", "its shape"):
                weights[0] = BACKGROUND_WEIGHT
            total = total + functional.cross_entropy(
                guesses.flatten(0, 1), wanted[:, aspect].flatten(), weight=weights
            )
        return total
