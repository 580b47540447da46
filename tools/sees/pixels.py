"""Bring pictures to the encoder's size as llama.cpp's mtmd does it for LLaVA."""

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

PADDING = (122, 116, 104)  # mtmd has it from CLIP's mean
MEAN = (0.5, 0.5, 0.5)  # ours; they are written into the GGUF
DEVIATION = (0.5, 0.5, 0.5)


def squared(image: Image.Image, side: int) -> Image.Image:
    """Scale a picture into a square of `side` pixels and fill what is left beside it."""
    if image.size == (side, side):
        return image
    width, height = image.size
    # In single precision, as mtmd computes it: the last bit decides about a row of pixels.
    scale = min(np.float32(side) / np.float32(width), np.float32(side) / np.float32(height))
    new_width = min(math.ceil(np.float32(width) * scale), side)
    new_height = min(math.ceil(np.float32(height) * scale), side)
    scaled = image.resize((new_width, new_height), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side), PADDING)
    square.paste(scaled, ((side - new_width) // 2, (side - new_height) // 2))
    return square


def as_tensor(images: list[Image.Image], side: int) -> Tensor:
    """Return pictures as numbers: (count, 3, side, side)."""
    pixels = np.stack([np.asarray(squared(image, side)) for image in images])
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(three).view(3, 1, 1) for three in (MEAN, DEVIATION))
    return (values - mean) / deviation
