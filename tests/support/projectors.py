"""Write tiny models that take pictures or sound: projectors with random weights, and models.

    write_pair(folder, "llava")      folder/llava.gguf and folder/mmproj-llava.gguf, see KINDS
    write_hearing_pair(folder)       the same of a model that hears, as Ultravox does

The kinds differ in what makes pictures hard: `llava` has a class token and leaves out its last
layer, `gemma3` pools its patches and reads them without causality, `qwen2vl` takes pictures of any
size and has positions in two dimensions (M-RoPE). Weights are drawn so that other pictures give
other answers.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from ggufs import CHATML, Shape, add_bpe, add_spm, describe, finish, tensor_shapes

Spread = float | npt.NDArray[np.float64]
WIDTH, FEED, HEADS = 64, 128, 4
"""Of the encoder of pictures."""
PATCH = 14
MODEL = Shape(embedding=64, feed_forward=128, layers=2, heads=4, kv_heads=2, context=2048)
VISION_MARKS = ("<|vision_start|>", "<|vision_end|>")
IMAGE_MARKS = ("<start_of_image>", "<end_of_image>")
MEL_BINS, AUDIO_FRAMES, STACK = 80, 1500, 4
"""Of Whisper: bands of sound, frames of half a minute; and how many frames become one vector."""
SAID = re.compile("[Ġ▁]?[a-z]*")
"""What the models say: of other tokens, no text could be compared."""
GAIN = 3.0
"""How much stronger attention is than usual: what was seen must outweigh the last word."""


@dataclass(frozen=True)
class Kind:
    """One kind of projector, with the architecture that it belongs to."""

    projector: str
    """As mtmd calls it."""
    architecture: str
    layers: int
    image: int
    """Pixels of a side; what is another size is scaled."""


KINDS = {
    "llava": Kind("mlp", "llama", 3, 56),
    "gemma3": Kind("gemma3", "gemma3", 2, 112),
    "qwen2vl": Kind("qwen2vl_merger", "qwen2vl", 2, 112),
}


@dataclass(frozen=True)
class Pair:
    """A model and its projector, as files."""

    model: Path
    projector: Path


def write_pair(folder: Path, kind: str, *, seed: int = 0) -> Pair:
    """Write a model that takes pictures and its projector to `folder`."""
    return Pair(
        write_text_model(folder / f"{kind}.gguf", kind, seed=seed),
        write_projector(folder / f"mmproj-{kind}.gguf", kind, seed=seed),
    )


def write_hearing_pair(folder: Path, *, seed: int = 0) -> Pair:
    """Write a model that takes sound and its projector to `folder`."""
    return Pair(
        write_text_model(folder / "hears.gguf", seed=seed),
        write_ears(folder / "mmproj-hears.gguf", seed=seed),
    )


class _Tensors:
    """Draws tensors by their names, whatever the order, and adds them to a file."""

    def __init__(self, writer: gguf.GGUFWriter, seed: int) -> None:
        self._writer, self._seed = writer, seed

    def __call__(self, name: str, *shape: int, sigma: Spread = 0.0, base: float = 0.0) -> None:
        """Add one: numbers around `base`; without a `sigma`, as keeps activations near 1."""
        rng = np.random.default_rng([self._seed, zlib.crc32(name.encode())])
        spread = sigma if np.any(sigma) else 1 / math.sqrt(math.prod(shape[1:]) or 1)
        values: npt.NDArray[np.float32] = rng.standard_normal(shape, dtype=np.float32)
        self._writer.add_tensor(name, values * np.float32(spread) + np.float32(base))

    def norm(self, name: str, size: int) -> None:
        """Add the weight of a norm."""
        self(f"{name}.weight", size, sigma=0.05, base=1.0)

    def linear(self, name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        """Add a matrix and its bias."""
        self(f"{name}.weight", rows, columns, sigma=gain / math.sqrt(columns))
        self(f"{name}.bias", rows, sigma=0.05)


def write_text_model(
    path: Path,
    kind: str = "llava",
    *,
    width: int = MODEL.embedding,
    seed: int = 0,
    chat_template: str | None = CHATML,
    change: Callable[[gguf.GGUFWriter], object] = lambda _: None,
) -> Path:
    """Write a model with random weights that the projector of `kind` belongs to; return `path`."""
    architecture = KINDS[kind].architecture
    layers = 6 if architecture == "gemma3" else MODEL.layers  # the last of six sees everything
    shape = Shape(width, MODEL.feed_forward, layers, MODEL.heads, MODEL.kv_heads, MODEL.context)
    head = width // shape.heads
    writer = gguf.GGUFWriter(path, architecture)
    describe(writer, architecture, shape, "F32", f"Tiny {kind}", "MIT")
    if architecture == "gemma3":
        writer.add_sliding_window(512)
        add_spm(writer, control=IMAGE_MARKS)
    else:
        add_bpe(writer, control=VISION_MARKS if architecture == "qwen2vl" else ())
    if architecture == "qwen2vl":
        third = head // 2 // 3
        writer.add_rope_dimension_sections([head // 2 - 2 * third, third, third, 0])
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    words = writer.kv_data[-1]["tokenizer.ggml.tokens"].value
    loud = np.array([bool(SAID.fullmatch(word)) for word in words])
    shape = Shape(
        width, shape.feed_forward, layers, shape.heads, shape.kv_heads, shape.context, len(words)
    )
    add = _Tensors(writer, seed)
    base = {"gemma3": "gemma2", "qwen2vl": "qwen2"}.get(architecture, architecture)
    for name, dimensions in tensor_shapes(base, shape):
        if name.endswith("norm.weight"):
            add(name, *dimensions, sigma=0.05, base=1.0)
        elif len(dimensions) == 1:
            add(name, *dimensions, sigma=0.05)
        else:
            strong = ".attn_" in name
            rows = np.where(loud, 1, 0.1)[:, None] if dimensions[0] == len(words) else 1
            gain = (GAIN if strong else 1) * rows
            add(name, *dimensions, sigma=gain / math.sqrt(dimensions[-1]))
    for layer in range(layers) if architecture == "gemma3" else ():
        add(f"blk.{layer}.attn_q_norm.weight", head, sigma=0.1, base=GAIN)
        add(f"blk.{layer}.attn_k_norm.weight", head, sigma=0.1, base=1)
    if architecture == "gemma3":  # not shared with the embedding, or each word would be repeated
        rows = np.where(loud, 1, 0.1)[:, None]
        add("output.weight", len(words), width, sigma=rows / math.sqrt(width))
    change(writer)
    return finish(writer, path)


def write_projector(
    path: Path,
    kind: str = "llava",
    *,
    width: int = MODEL.embedding,
    seed: int = 0,
    change: Callable[[gguf.GGUFWriter], object] = lambda _: None,
) -> Path:
    """Write a projector of `kind` with random weights, for models of `width`; return `path`."""
    made = KINDS[kind]
    patches = (made.image // PATCH) ** 2
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name(f"Eyes of Tiny {kind}")
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_string("clip.projector_type", made.projector)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", kind == "gemma3")
    for key, value in {
        "image_size": made.image,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": FEED,
        "block_count": made.layers,
        "projection_dim": width,
        "attention.head_count": HEADS,
    }.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    add = _Tensors(writer, seed)
    add("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
    if kind == "qwen2vl":
        add("v.patch_embd.weight.1", WIDTH, 3, PATCH, PATCH)
    else:
        classes = 1 if kind == "llava" else 0
        add("v.position_embd.weight", patches + classes, WIDTH, sigma=0.3)
    if kind == "llava":
        add("v.class_embd", WIDTH, sigma=1.0)
        add.norm("v.pre_ln", WIDTH)
        add("v.pre_ln.bias", WIDTH, sigma=0.05)
    if kind == "gemma3":
        add("v.patch_embd.bias", WIDTH, sigma=0.05)
        writer.add_uint32("clip.vision.projector.scale_factor", 2)
    for layer in range(made.layers):
        block = f"v.blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            add.linear(f"{block}.{part}", WIDTH, WIDTH)
        for part in ("ln1", "ln2"):
            add.norm(f"{block}.{part}", WIDTH)
            add(f"{block}.{part}.bias", WIDTH, sigma=0.05)
        add.linear(f"{block}.ffn_up", FEED, WIDTH)
        add.linear(f"{block}.ffn_down", WIDTH, FEED)
    if kind != "llava":
        add.norm("v.post_ln", WIDTH)
        add("v.post_ln.bias", WIDTH, sigma=0.05)
    if kind == "llava":
        add.linear("mm.0", width, WIDTH)
        add.linear("mm.2", width, width, GAIN)
    elif kind == "gemma3":
        add("mm.input_projection.weight", WIDTH, width, sigma=GAIN / math.sqrt(WIDTH))
        add.norm("mm.soft_emb_norm", WIDTH)
    else:
        add.linear("mm.0", 4 * WIDTH, 4 * WIDTH)
        add.linear("mm.2", width, 4 * WIDTH, GAIN)
    change(writer)
    return finish(writer, path)


def write_ears(path: Path, *, width: int = MODEL.embedding, seed: int = 0) -> Path:
    """Write a projector for sound with random weights: Whisper's encoder, Ultravox' projector."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name("Ears of Tiny llava")
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_string("clip.projector_type", "ultravox")
    writer.add_bool("clip.has_audio_encoder", True)
    for key, value in {
        "num_mel_bins": MEL_BINS,
        "embedding_length": WIDTH,
        "feed_forward_length": FEED,
        "block_count": 2,
        "projection_dim": width,
        "attention.head_count": HEADS,
        "projector.stack_factor": STACK,
    }.items():
        writer.add_uint32(f"clip.audio.{key}", value)
    writer.add_float32("clip.audio.attention.layer_norm_epsilon", 1e-5)
    add = _Tensors(writer, seed)
    for number, channels in ((1, MEL_BINS), (2, WIDTH)):
        add(f"a.conv1d.{number}.weight", WIDTH, channels, 3)
        add(f"a.conv1d.{number}.bias", WIDTH, 1, sigma=0.05)
    add("a.position_embd.weight", AUDIO_FRAMES, WIDTH, sigma=0.1)
    for layer in range(2):
        block = f"a.blk.{layer}"
        for part in ("attn_q", "attn_v", "attn_out"):
            add.linear(f"{block}.{part}", WIDTH, WIDTH)
        add(f"{block}.attn_k.weight", WIDTH, WIDTH)  # Whisper's keys have no bias
        for part in ("ln1", "ln2"):
            add.norm(f"{block}.{part}", WIDTH)
            add(f"{block}.{part}.bias", WIDTH, sigma=0.05)
        add.linear(f"{block}.ffn_up", FEED, WIDTH)
        add.linear(f"{block}.ffn_down", WIDTH, FEED)
    add.norm("a.post_ln", WIDTH)
    add("a.post_ln.bias", WIDTH, sigma=0.05)
    add.norm("mm.a.norm_pre", STACK * WIDTH)
    add("mm.a.mlp.1.weight", 2 * FEED, STACK * WIDTH)
    add.norm("mm.a.norm_mid", FEED)
    add("mm.a.mlp.2.weight", width, FEED, sigma=GAIN / math.sqrt(FEED))
    return finish(writer, path)
