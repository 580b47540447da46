"""The eye: a CLIP-like vision transformer, and LLaVA's projector behind it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class EyeShape:
    """The hyperparameters, under the names that GGUF has for them."""

    image_size: int = 60
    patch_size: int = 10
    embedding_length: int = 128
    feed_forward_length: int = 384
    block_count: int = 4
    head_count: int = 4
    projection_dim: int = 256  # the language model's embedding_length
    layer_norm_epsilon: float = 1e-5

    @property
    def patches(self) -> int:
        """How many patches, and so how many tokens, a picture has."""
        return (self.image_size // self.patch_size) ** 2


class VisionBlock(nn.Module):
    """Attention of every patch to all, and feed-forward, each behind a norm."""

    def __init__(self, shape: EyeShape) -> None:
        super().__init__()
        width, self._heads = shape.embedding_length, shape.head_count
        self.ln1 = nn.LayerNorm(width, shape.layer_norm_epsilon)
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.ln2 = nn.LayerNorm(width, shape.layer_norm_epsilon)
        self.up = nn.Linear(width, shape.feed_forward_length)
        self.down = nn.Linear(shape.feed_forward_length, width)

    def forward(self, x: Tensor) -> Tensor:
        """Pass (batch, patches, width) through the block."""
        q, k, v = (
            part.unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for part in self.qkv(self.ln1(x)).chunk(3, -1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.output(mixed.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.ln2(x)), approximate="tanh"))  # type: ignore[no-any-return]


class Eye(nn.Module):
    """Pictures to embeddings that the language model takes for tokens."""

    def __init__(self, shape: EyeShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.embedding_length
        self.patch_embd = nn.Conv2d(3, width, shape.patch_size, shape.patch_size)
        self.position_embd = nn.Parameter(torch.randn(shape.patches, width) * 0.02)
        self.pre_ln = nn.LayerNorm(width, shape.layer_norm_epsilon)
        self.blocks = nn.ModuleList(VisionBlock(shape) for _ in range(shape.block_count))
        self.post_ln = nn.LayerNorm(width, shape.layer_norm_epsilon)
        self.mm_0 = nn.Linear(width, shape.projection_dim)
        self.mm_2 = nn.Linear(shape.projection_dim, shape.projection_dim)

    def features(self, pixels: Tensor) -> Tensor:
        """Return what the encoder makes of each patch: (batch, patches, width)."""
        x = self.patch_embd(pixels).flatten(2).transpose(1, 2)
        x = self.pre_ln(x + self.position_embd)
        for block in self.blocks:
            x = block(x)
        return self.post_ln(x)  # type: ignore[no-any-return]

    def project(self, features: Tensor) -> Tensor:
        """Bring features to the language model's width."""
        return self.mm_2(functional.gelu(self.mm_0(features), approximate="tanh"))  # type: ignore[no-any-return]

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the embeddings (batch, patches, projection_dim) of (batch, 3, side, side)."""
        return self.project(self.features(pixels))
