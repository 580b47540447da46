"""Tell before loading whether a model fits, and which context does."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import MemoryShortage
from runtime.gguf.header import Header
from runtime.units import gigabytes

DEFAULT_CONTEXT = 4096
"""Used where neither the user nor the bundle says: long enough to chat, small enough to fit."""
SMALLEST_CONTEXT = 512
PROGRAM = 120 << 20
"""What the program itself takes: interpreter, engine, vocabulary."""


@dataclass(frozen=True)
class Plan:
    """The context to use and what is expected to be needed."""

    context: int
    needed: int
    available: int | None
    notice: str = ""
    """What to tell the user, when less than asked for is given."""


def plan(
    header: Header,
    size: int,
    *,
    wanted: int,
    batch: int,
    available: int | None,
    fit: bool = True,
) -> Plan:
    """Return the context that fits; raise MemoryShortage when none does.

    `size` is the model's bytes. `wanted` is the context asked for, 0 for the default. With
    `fit` off nothing is refused or shrunk.
    """
    trained = header.hyper("context_length") or DEFAULT_CONTEXT
    context = wanted or min(trained, DEFAULT_CONTEXT)
    beyond = ""
    if wanted > trained:
        beyond = (
            f"the model was trained for {trained:,} tokens of context: beyond that, "
            "its answers may make no sense"
        )
    fixed = size + PROGRAM + _buffers(header, batch)
    per_token = kv_bytes_per_token(header) + _mask(header, batch)
    needed = fixed + per_token * context
    if not fit or available is None or needed <= available:
        return Plan(context, needed, available, beyond)
    room = (available - fixed) // per_token if per_token else 0
    shrunk = room // 256 * 256
    smallest = min(SMALLEST_CONTEXT, context)
    if shrunk < smallest:
        least = fixed + per_token * smallest
        raise MemoryShortage(
            f"the model needs {gigabytes(least)} of memory even with a context of {smallest} "
            f"tokens; {gigabytes(available)} are free",
            hint="close other programs, use a smaller or more strongly quantized model, "
            "or try all the same with --no-fit",
        )
    notice = (
        f"context reduced from {context} to {shrunk} tokens: {gigabytes(needed)} would be "
        f"needed, {gigabytes(available)} are free (--no-fit to insist)"
    )
    return Plan(shrunk, fixed + per_token * shrunk, available, notice)


def kv_bytes_per_token(header: Header) -> int:
    """Return the KV cache's bytes for one token at 16 bits, 0 where it cannot be told."""
    heads = header.hyper("attention.head_count")
    width = header.hyper("embedding_length") // heads if heads else 0
    key = header.hyper("attention.key_length") or width
    value = header.hyper("attention.value_length") or width
    layers = header.hyper("block_count")
    per_layer = header.metadata.get(f"{header.architecture}.attention.head_count_kv")
    if isinstance(per_layer, list):
        kv_heads = sum(v for v in per_layer if isinstance(v, int))
    else:
        kv_heads = layers * (header.hyper("attention.head_count_kv") or heads)
    return kv_heads * (key + value) * 2


def _mask(header: Header, batch: int) -> int:
    """Return the compute buffers' bytes for one more token of context.

    That is what tells each token of a batch which others it may look at, at 16 bits; there are two
    of them where some layers look through a window only. So measured with llama.cpp's own figures
    for contexts from 512 to 131,072 tokens.
    """
    windowed = header.hyper("attention.sliding_window") or header.architecture == "gemma2"
    return 2 * batch * (2 if windowed else 1)


def _buffers(header: Header, batch: int) -> int:
    """Estimate the engine's compute buffers: logits, and the widest activations of a batch."""
    width = max(header.hyper("feed_forward_length"), header.hyper("embedding_length"))
    vocabulary = header.hyper("vocab_size") or 128_000
    return 4 * (batch * width * 4 + vocabulary * 8) + (32 << 20)
