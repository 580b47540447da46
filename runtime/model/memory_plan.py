"""Memory estimate before loading: whether a model fits, and the largest context that does."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import MemoryShortage
from runtime.gguf.header import Header
from runtime.gguf.tensor_types import NUMBERS, TYPES
from runtime.options.loading import AUTOMATIC
from runtime.options.registry import Options
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
NO_FLASH_ATTENTION = ("grok",)
"""Architectures that the engine computes without it, whatever is asked for."""
SMALLEST_CONTEXT = 512
"""Tokens; a model that fits with less only is rejected."""
PROGRAM = 120 << 20
"""Bytes for the program itself: interpreter, engine, vocabulary."""

SECOND_MODEL = 96 << 20
"""Bytes for vocabulary, context and buffers of an embedding or reranking model beside the first:
60 MB were seen with 30,000 words, 120 MB with 250,000."""


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
    header: Header, weights: int, options: Options, *, available: int | None, processes: int = 1
) -> Plan:
    """Return the context size that fits; raise MemoryShortage if none does.

    `weights` are the bytes that the model's weights take, in all of the `processes` together that
    use it, each with a context of its own. With `options.fit` off, nothing is rejected or reduced.
    """
    trained = header.hyper("context_length") or UNKNOWN_CONTEXT
    wanted = options.ctx_size
    context = default_context(header) if wanted == AUTOMATIC else wanted or trained
    beyond = ""
    if wanted > trained:
        beyond = (
            f"the model was trained for {trained:,} tokens of context: beyond that, "
            "its answers may make no sense"
        )
    fixed = weights + processes * (PROGRAM + _fixed_bytes(header, options))
    per_token = processes * _bytes_per_token(header, options)
    needed = fixed + per_token * _made(context)
    if not options.fit or available is None or needed <= available:
        return Plan(context, needed, available, beyond)
    room = (available - fixed) // per_token if per_token else 0
    shrunk = room // CONTEXT_STEP * CONTEXT_STEP
    smallest = min(SMALLEST_CONTEXT, context)
    if shrunk < smallest:
        least = fixed + per_token * _made(smallest)
        workers = f" for {processes} workers" if processes > 1 else ""
        raise MemoryShortage(
            f"the model needs {gigabytes(least)} of memory{workers} even with a context of "
            f"{smallest} tokens; {gigabytes(available)} are free",
            hint="close other programs, use a smaller or more strongly quantized model, "
            + ("start fewer workers, " if workers else "")
            + "or try all the same with --no-fit",
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


def state_bytes(header: Header) -> int:
    """Return the bytes that a recurrent or hybrid model keeps of a sequence, however long it is.

    As llama.cpp computes them: the last inputs of each layer's convolution, and its state.
    """
    width = header.hyper("embedding_length")
    inner, state = header.hyper("ssm.inner_size"), header.hyper("ssm.state_size")
    channels = inner + 2 * header.hyper("ssm.group_count") * state
    inputs = max(header.hyper("ssm.conv_kernel") - 1, 0) * channels
    inputs += max(header.hyper("shortconv.l_cache") - 1, 0) * width
    inputs += header.hyper("token_shift_count") * width
    kept = inner * state + width * header.hyper("wkv.head_size")
    layers = header.hyper("block_count")
    attention = header.metadata.get(f"{header.architecture}.attention.head_count_kv")
    if isinstance(attention, list):  # the other layers of a hybrid model have no heads
        layers = sum(not heads for heads in attention)
    return 4 * layers * (inputs + kept)


def _made(context: int) -> int:
    """Return the tokens of the context that the engine makes if asked for this one."""
    return -(-context // CONTEXT_STEP) * CONTEXT_STEP


def _bytes_per_token(header: Header, options: Options) -> int:
    """Return the bytes per token of context: the KV cache, and what of the buffers grows with it.

    These have a row for each token of a batch: the attention mask, of which models with
    sliding-window layers have two, and without flash attention the scores of every head, once more
    as 16 bits to be multiplied with values of 16 bits. llama.cpp reports these sizes, except for
    the last, by which a process grows that fills its context.
    """
    windowed = header.hyper("attention.sliding_window") or header.architecture == "gemma2"
    masks = 2 if windowed else 1
    if options.flash_attn == "off" or header.architecture in NO_FLASH_ATTENTION:
        copies = 4 if options.cache_type_v == "f32" else 6
        row = 4 * masks + copies * header.hyper("attention.head_count")
    else:
        row = 2 * masks
    cache = kv_bytes_per_token(header, options.cache_type_k, options.cache_type_v)
    return cache + options.batch_size * row


def _fixed_bytes(header: Header, options: Options) -> int:
    """Estimate the bytes of buffers that do not grow with the context.

    The widest activations of a batch; for each parallel answer the logits, the sampler's copies of
    them, and a recurrent model's state.
    """
    width = max(header.hyper("feed_forward_length"), header.hyper("embedding_length"))
    vocabulary = header.hyper("vocab_size") or 128_000
    answers = options.parallel * (4 * vocabulary * 8 + state_bytes(header))
    return 4 * options.batch_size * width * 4 + answers + (32 << 20)
