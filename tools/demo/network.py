"""The model: a Llama small enough to train on a laptop."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """The hyperparameters, under the names that GGUF has for them."""

    vocab_size: int = 1024
    context_length: int = 1024
    embedding_length: int = 256  # K-quants need rows of 256
    block_count: int = 4
    feed_forward_length: int = 256
    head_count: int = 4
    head_count_kv: int = 2
    rope_freq_base: float = 10000.0
    rms_epsilon: float = 1e-6  # training does without

    @property
    def head_length(self) -> int:
        """The width of one attention head."""
        return self.embedding_length // self.head_count


class _Normalize(torch.autograd.Function):
    """RMS norm with a backward pass of few steps: on a CPU each step is a walk through memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scale = x.shape[-1] ** 0.5 / torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        along = torch.linalg.vecdot(grad, y).unsqueeze(-1) / y.shape[-1]
        return torch.addcmul(grad, y, along, value=-1).mul_(scale)


def normalize(x: Tensor) -> Tensor:
    """Scale each vector to a root mean square of one."""
    return _Normalize.apply(x)  # type: ignore[no-any-return, no-untyped-call]


class Attention(nn.Module):
    """Grouped-query attention to what came before."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._shape = shape
        heads = shape.head_count + 2 * shape.head_count_kv
        self.qkv = nn.Linear(shape.embedding_length, heads * shape.head_length, bias=False)
        self.output = nn.Linear(shape.embedding_length, shape.embedding_length, bias=False)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        """Mix the positions of (batch, length, width)."""
        shape = self._shape
        heads = self.qkv(x).unflatten(-1, (-1, shape.head_length))
        rotating = shape.head_count + shape.head_count_kv
        turned = rotate(heads[:, :, :rotating], rotation)
        q, k = turned[:, :, : shape.head_count], turned[:, :, shape.head_count :]
        v = heads[:, :, rotating:]
        repeats = shape.head_count // shape.head_count_kv
        mixed = functional.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.repeat_interleave(repeats, 2).transpose(1, 2),
            v.repeat_interleave(repeats, 2).transpose(1, 2),
            is_causal=True,
        )
        return self.output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_up = nn.Linear(shape.embedding_length, 2 * shape.feed_forward_length, bias=False)
        self.down = nn.Linear(shape.feed_forward_length, shape.embedding_length, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each position by itself."""
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(functional.silu(gate) * up)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and beside a residual path."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attn = Attention(shape)
        self.ffn = FeedForward(shape)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        """Pass (batch, length, width) through the block."""
        x = x + self.attn(normalize(x), rotation)
        return x + self.ffn(normalize(x))  # type: ignore[no-any-return]


class Network(nn.Module):
    """The whole model; the embedding also makes the output."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocab_size, shape.embedding_length)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.block_count))
        nn.init.normal_(self.token_embd.weight, std=0.05)
        for name, weight in self.blocks.named_parameters():
            if weight.dim() == 2:
                residual = name.endswith(("output.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 if residual else 0.05)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the final states (batch, length, width) of tokens (batch, length)."""
        rotation = rotation_table(tokens.shape[1], self.shape)
        x = self.token_embd(tokens)
        for block in self.blocks:
            x = block(x, rotation)
        return normalize(x)

    def logits(self, states: Tensor) -> Tensor:
        """Return the scores of all tokens; apart from `forward` because few states need them."""
        return functional.linear(states, self.token_embd.weight)


def rotation_table(length: int, shape: Shape) -> Tensor:
    """Return complex numbers of length one: (length, 1, head_length / 2)."""
    steps = torch.arange(0, shape.head_length, 2) / shape.head_length
    angles = torch.outer(torch.arange(length), shape.rope_freq_base**-steps)
    return torch.polar(torch.ones_like(angles), angles).unsqueeze(1)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn neighbouring pairs of channels by their position, as llama.cpp does for Llama."""
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2)
