"""Make the large models that the benchmarks need, with random weights, once.

Only their shape, their types and their statistics are real: what they answer is noise. The chat
template hands the text on as it is, so that our side and llama.cpp's tools see the same prompt.

    python -m benchmarks.models NAME…       see MODELS for the names
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import string
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from benchmarks import cache
from tests.support.ggufs import Shape, add_spm, describe, random_tensor, tensor_shapes

VERBATIM = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
PIECE = 4 << 20  # weights made at a time; bounds the memory that making a model takes


@dataclass(frozen=True)
class Recipe:
    """What to make: sizes, and the type of most of the weights."""

    shape: Shape
    weight_type: str
    mixed: bool = False
    """Give the tensors that matter most a finer type, as llama.cpp's Q4_K_M does."""
    tied: bool = False
    """Use the embedding as the output matrix too."""


VOCABULARY = 32000

MODELS = {
    # TinyLlama 1.1B
    "1.1b-q4_k_m": Recipe(Shape(2048, 5632, 22, 32, 4, 2048, VOCABULARY), "Q4_K", mixed=True),
    # half a gigabyte of the type that compresses well
    "250m-bf16": Recipe(Shape(1024, 2816, 16, 16, 4, 2048, VOCABULARY), "BF16"),
    # one each of the types that the engine repacks on x86-64 by kernels of their own
    "250m-q4_k": Recipe(Shape(1024, 2816, 16, 16, 4, 2048, VOCABULARY), "Q4_K"),
    "250m-q4_0": Recipe(Shape(1024, 2816, 16, 16, 4, 2048, VOCABULARY), "Q4_0"),
    # and of those that it leaves as they are
    "250m-q8_0": Recipe(Shape(1024, 2816, 16, 16, 4, 2048, VOCABULARY), "Q8_0"),
    # stories110M
    "110m-q8_0": Recipe(Shape(768, 2048, 12, 12, 12, 1024, VOCABULARY), "Q8_0", tied=True),
    # proves that the scripts run; its numbers mean nothing
    "small": Recipe(Shape(256, 512, 2, 4, 2, 1024, VOCABULARY), "Q4_K", mixed=True),
}


def model(name: str) -> Path:
    """Return the model `name` of MODELS, made and cached if need be."""
    recipe = MODELS[name]

    def make(draft: Path) -> None:
        print(f"making the model {name}, once …", file=sys.stderr)
        write(draft, name, recipe)

    mark = zlib.crc32(repr(recipe).encode())  # another recipe, another file
    return cache.keep(cache.folder("models") / f"{name}-{mark:08x}.gguf", make)


def projector(*, small: bool = False) -> Path:
    """Return a projector in the shape of CLIP's ViT-B/16, for the models of 250M; made if need be.

    The `small` one is for the small stand-in.
    """
    name = "small" if small else "vit-b"

    def make(draft: Path) -> None:
        print(f"making the projector {name}, once …", file=sys.stderr)
        model_width = MODELS["small" if small else "250m-q8_0"].shape.embedding
        write_projector(draft, model_width, *((64, 2) if small else (768, 12)))

    return cache.keep(cache.folder("models") / f"mmproj-{name}-1.gguf", make)


def write_projector(path: Path, model_width: int, width: int, layers: int) -> None:
    """Write one with random weights: a vision transformer that cuts 224 pixels into 14 patches."""
    patch, side = 16, 224
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", False)
    sizes = {"image_size": side, "patch_size": patch, "embedding_length": width,
             "feed_forward_length": 4 * width, "block_count": layers,
             "projection_dim": model_width, "attention.head_count": width // 64}  # fmt: skip
    for key, value in sizes.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    rng = np.random.default_rng(0)

    def add(name: str, *shape: int, base: float = 0.0) -> None:
        spread = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.02
        values = rng.standard_normal(shape, dtype=np.float32) * np.float32(spread)
        kind = np.float16 if len(shape) > 1 and "position" not in name else np.float32
        writer.add_tensor(name, (values + np.float32(base)).astype(kind))

    def add_layer(name: str, rows: int, columns: int) -> None:
        add(f"{name}.weight", rows, columns)
        add(f"{name}.bias", rows)

    add("v.patch_embd.weight", width, 3, patch, patch)
    add("v.position_embd.weight", (side // patch) ** 2 + 1, width)
    add("v.class_embd", width)
    for norm in ("v.pre_ln", *(f"v.blk.{n}.ln{i}" for n in range(layers) for i in (1, 2))):
        add(f"{norm}.weight", width, base=1.0)
        add(f"{norm}.bias", width)
    for number in range(layers):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            add_layer(f"v.blk.{number}.{part}", width, width)
        add_layer(f"v.blk.{number}.ffn_up", 4 * width, width)
        add_layer(f"v.blk.{number}.ffn_down", width, 4 * width)
    add_layer("mm.0", model_width, width)
    add_layer("mm.2", model_width, model_width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write(path: Path, name: str, recipe: Recipe) -> None:
    """Write a model by `recipe`, a few million weights at a time."""
    writer = gguf.GGUFWriter(path, "llama")
    describe(writer, "llama", recipe.shape, recipe.weight_type, f"Random {name}", "CC0-1.0")
    add_spm(writer, pieces(VOCABULARY - 3 - 256 - 2))
    writer.add_chat_template(VERBATIM)
    plan = list(_plan(recipe))
    for tensor, shape, kind in plan:
        size = _bytes(shape, kind)
        writer.add_tensor_info(tensor, shape, np.dtype(np.float32), size, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    out = writer.fout[0]
    writer.write_padding(out, out.tell())
    for tensor, shape, kind in plan:
        for data in _data(tensor, shape, kind.name):
            out.write(data)
        writer.write_padding(out, _bytes(shape, kind))
    writer.close()


def _plan(recipe: Recipe) -> Iterator[tuple[str, tuple[int, ...], gguf.GGMLQuantizationType]]:
    """Yield the tensors' names, shapes and types in the order of the file."""
    for name, shape in tensor_shapes("llama", recipe.shape):
        if name == "output.weight" and recipe.tied:
            continue
        kind = recipe.weight_type if len(shape) > 1 else "F32"
        if recipe.mixed and _is_finer(name, recipe.shape.layers):
            kind = "Q6_K"
        yield name, shape, gguf.GGMLQuantizationType[kind]


def _is_finer(name: str, layers: int) -> bool:
    """Say whether Q4_K_M stores the tensor as Q6_K: llama.cpp's `use_more_bits`."""
    if name == "output.weight":
        return True
    block, number, tensor, *_ = [*name.split("."), "", ""]
    if block != "blk" or tensor not in ("attn_v", "ffn_down"):
        return False
    layer = int(number)
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _bytes(shape: tuple[int, ...], kind: gguf.GGMLQuantizationType) -> int:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return int(math.prod(shape) // block * size)


def _data(name: str, shape: tuple[int, ...], kind: str) -> Iterator[bytes]:
    """Yield the tensor's bytes, some rows at a time."""
    if len(shape) == 1:
        yield random_tensor(name, shape, kind, seed=0).tobytes()
        return
    step = max(1, PIECE // shape[1])
    for row in range(0, shape[0], step):
        rows = min(step, shape[0] - row)
        yield random_tensor(f"{name}/{row}", (rows, shape[1]), kind, seed=0).tobytes()


def pieces(count: int) -> list[str]:
    """Return `count` pieces, each of which two pieces before it make up.

    Characters, then pairs and triples of letters, at the start of a word and inside one.
    """
    letters = string.ascii_lowercase
    singles = ["▁", *letters, *string.ascii_uppercase, *string.digits, *string.punctuation]
    pairs = ["".join(pair) for pair in itertools.product(letters, repeat=2)]
    triples = ["".join(triple) for triple in itertools.product(letters, repeat=3)]
    initial = ["▁" + piece for piece in (*letters, *pairs)]
    found = [*singles, *pairs, *initial, *triples, *("▁" + piece for piece in triples)]
    return found[:count]


def prompt(words: int) -> str:
    """Return a text of `words` words, each one token of `pieces`."""
    letters = string.ascii_lowercase
    return " ".join(letters[i % 26] + letters[i // 26 % 26] for i in range(words))


def sparse(size: int) -> Path:
    """Return a GGUF whose last tensor is a hole of `size` bytes; it takes no disk space.

    Its header is valid and its tokenizer works, but no engine can use the surplus tensor.
    """

    def make(draft: Path) -> None:
        writer = gguf.GGUFWriter(draft, "llama")
        shape = Shape()
        describe(writer, "llama", shape, "F32", "A hole", "CC0-1.0")
        add_spm(writer)
        hole = gguf.GGMLQuantizationType.I8
        writer.add_tensor_info("hole", (size,), np.dtype(np.int8), size, raw_dtype=hole)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        assert writer.fout is not None
        out = writer.fout[0]
        writer.write_padding(out, out.tell())
        writer.flush()
        os.truncate(draft, out.tell() + size)
        writer.close()

    return cache.keep(cache.folder("models") / f"hole-{size}.gguf", make)


def main() -> None:
    """Make the models and print where they are."""
    parser = argparse.ArgumentParser(prog="benchmarks.models", description=main.__doc__)
    parser.add_argument("names", nargs="+", choices=MODELS, metavar="NAME", help=", ".join(MODELS))
    for name in parser.parse_args().names:
        print(model(name))


if __name__ == "__main__":
    main()
