"""Memory estimate before loading: whether a model fits, and the largest context that does."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import MemoryShortage
from runtime.gguf.header import Header
from runtime.gguf.tensor_types import NUMBERS, TYPES
from runtime.options.loading import AUTOMATIC
from runtime.units import gigabytes

UNKNOWN_CONTEXT = 4096
"""Tokens that a model is taken to be trained for if its header does not tell."""
LONGEST_DEFAULT = 32_768
"""Tokens, if neither the user nor the bundle sets a size: the first message of agents fits."""
USUAL_CONTEXT = 4096
"""Tokens; a default context of at least this size is reduced without a notice."""
CONTEXT_STEP = 256
"""Tokens; the engine's contexts are multiples of this."""
ONE_SCALING = ("none", "linear", "yarn")
"""Types of RoPE scaling that are the same in a context of any size."""
SMALLEST_CONTEXT = 512
"""Tokens; a model that fits with less only is rejected."""
PROGRAM = 120 << 20
"""Bytes for the program itself: interpreter, engine, vocabulary."""


@dataclass(frozen=True)
class Plan:
    """Context size (tokens), estimated and available memory (bytes)."""

    context: int
    needed: int
    available: int | None
    notice: str = ""
    """A sentence for the user if the context was reduced or exceeds what the model was trained
    for."""


def plan(
    header: Header,
    size: int,
    *,
    wanted: int,
    batch: int,
    available: int | None,
    fit: bool = True,
    cache_types: tuple[str, str] = ("f16", "f16"),
) -> Plan:
    """Return the context size that fits; raise MemoryShortage if none does.

    `size` is the model's size in bytes, `wanted` the requested context in tokens (0: all that the
    model was trained for, AUTOMATIC: the default), `batch` the batch size in tokens, `cache_types`
    are those of keys and values in the KV cache. Without `fit`, nothing is rejected or reduced.
    """
    trained = header.hyper("context_length") or UNKNOWN_CONTEXT
    context = default_context(header) if wanted == AUTOMATIC else wanted or trained
    beyond = ""
    if wanted > trained:
        beyond = (
            f"the model was trained for {trained:,} tokens of context: beyond that, "
            "its answers may make no sense"
        )
    fixed = size + PROGRAM + _compute_buffer_bytes(header, batch)
    per_token = kv_bytes_per_token(header, *cache_types) + _mask_bytes(header, batch)
    needed = fixed + per_token * context
    if not fit or available is None or needed <= available:
        return Plan(context, needed, available, beyond)
    room = (available - fixed) // per_token if per_token else 0
    shrunk = room // CONTEXT_STEP * CONTEXT_STEP
    smallest = min(SMALLEST_CONTEXT, context)
    if shrunk < smallest:
        least = fixed + per_token * smallest
        raise MemoryShortage(
            f"the model needs {gigabytes(least)} of memory even with a context of {smallest} "
            f"tokens; {gigabytes(available)} are free",
            hint="close other programs, use a smaller or more strongly quantized model, "
            "or try all the same with --no-fit",
        )
    if wanted == AUTOMATIC and shrunk >= USUAL_CONTEXT:
        return Plan(shrunk, fixed + per_token * shrunk, available)
    notice = (
        f"context reduced from {context} to {shrunk} tokens: {gigabytes(needed)} would be "
        f"needed, {gigabytes(available)} are free (--no-fit to insist)"
    )
    return Plan(shrunk, fixed + per_token * shrunk, available, notice)


def default_context(header: Header) -> int:
    """Return the tokens of context if no size is asked for, before memory is looked at.

    A model with two RoPE scalings keeps the first, which it answers better with: llama.cpp takes
    the other as soon as the context is longer than the original one, however short the prompt is.
    """
    trained = header.hyper("context_length") or UNKNOWN_CONTEXT
    context = min(trained, LONGEST_DEFAULT)
    original = header.hyper("rope.scaling.original_context_length")
    kind = header.metadata.get(f"{header.architecture}.rope.scaling.type")
    if original < CONTEXT_STEP or kind in ONE_SCALING:
        return context
    return min(context, original // CONTEXT_STEP * CONTEXT_STEP)


def kv_bytes_per_token(header: Header, key_type: str = "f16", value_type: str = "f16") -> int:
    """Return the bytes of KV cache per token, 0 if the header does not tell."""
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
    return int(kv_heads * (key * _bytes(key_type) + value * _bytes(value_type)))


def _bytes(name: str) -> float:
    """Return the bytes of a number of that type."""
    kind = TYPES[NUMBERS[name]]
    return kind.size / kind.values


def _mask_bytes(header: Header, batch: int) -> int:
    """Return the bytes of compute buffers per token of context.

    That is the 16-bit attention mask, with one row per token of a batch; models with sliding-window
    layers have two masks. Derived from llama.cpp's reported sizes for contexts of 512 to 131,072
    tokens.
    """
    windowed = header.hyper("attention.sliding_window") or header.architecture == "gemma2"
    return 2 * batch * (2 if windowed else 1)


def _compute_buffer_bytes(header: Header, batch: int) -> int:
    """Estimate the bytes of the compute buffers: logits, and the widest activations of a batch."""
    width = max(header.hyper("feed_forward_length"), header.hyper("embedding_length"))
    vocabulary = header.hyper("vocab_size") or 128_000
    return 4 * (batch * width * 4 + vocabulary * 8) + (32 << 20)
