"""Write tiny GGUF files: models with random weights that llama.cpp loads.

Everything is made from a seed with gguf-py and numpy: the same call gives the same bytes on
every machine. No engine is needed; the block types that gguf-py cannot quantize (`Q4_K` and its
kin) are drawn at random as valid blocks.

    write_model(path, "qwen3", "Q4_K")      a model, about 1 MB; see ARCHITECTURES, WEIGHT_TYPES
    split_model(path, 3)                    the same model as NAME-00001-of-00003.gguf …

What cannot be used is made by `misfits`.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from bundler.stub.cpu_probe import byte_symbol

Array = npt.NDArray[Any]

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "phi3", "gpt2")

FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "BF16": gguf.LlamaFileType.MOSTLY_BF16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
    "Q4_1": gguf.LlamaFileType.MOSTLY_Q4_1,
    "Q5_0": gguf.LlamaFileType.MOSTLY_Q5_0,
    "Q5_1": gguf.LlamaFileType.MOSTLY_Q5_1,
    "Q2_K": gguf.LlamaFileType.MOSTLY_Q2_K,
    "Q3_K": gguf.LlamaFileType.MOSTLY_Q3_K_M,
    "Q4_K": gguf.LlamaFileType.MOSTLY_Q4_K_M,
    "Q5_K": gguf.LlamaFileType.MOSTLY_Q5_K_M,
    "Q6_K": gguf.LlamaFileType.MOSTLY_Q6_K,
}
WEIGHT_TYPES = tuple(FILE_TYPES)

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of a model; rows are multiples of 256, so that every block type fits."""

    embedding: int = 256
    feed_forward: int = 256
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    context: int = 512
    vocabulary: int = 288


TINY = Shape()


def tensor_shapes(arch: str, shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield each tensor's name and its shape in numpy's order (rows first)."""
    d, ff = shape.embedding, shape.feed_forward
    kv = d // shape.heads * shape.kv_heads
    biased = arch == "gpt2"
    yield "token_embd.weight", (shape.vocabulary, d)
    if biased:
        yield "position_embd.weight", (shape.context, d)
    for layer in range(shape.layers):
        for name, rows, columns in _layer(arch, d, kv, ff):
            yield f"blk.{layer}.{name}.weight", (rows, columns) if columns else (rows,)
            if biased or (arch == "qwen2" and name in ("attn_q", "attn_k", "attn_v")):
                yield f"blk.{layer}.{name}.bias", (rows,)
        if arch == "qwen3":
            yield f"blk.{layer}.attn_q_norm.weight", (d // shape.heads,)
            yield f"blk.{layer}.attn_k_norm.weight", (d // shape.heads,)
    yield "output_norm.weight", (d,)
    if biased:
        yield "output_norm.bias", (d,)
    if arch not in ("gemma", "gemma2"):  # these share the matrix with the embedding
        yield "output.weight", (shape.vocabulary, d)


def _layer(arch: str, d: int, kv: int, ff: int) -> list[tuple[str, int, int]]:
    """Return name, rows and columns (0 for a vector) of one layer's tensors."""
    attention = [("attn_q", d, d), ("attn_k", kv, d), ("attn_v", kv, d)]
    mlp = [("ffn_gate", ff, d), ("ffn_up", ff, d)]
    if arch == "phi3":
        attention, mlp = [("attn_qkv", d + 2 * kv, d)], [("ffn_up", 2 * ff, d)]
    if arch == "gpt2":
        attention, mlp = [("attn_qkv", d + 2 * kv, d)], [("ffn_up", ff, d)]
    tensors = [("attn_norm", d, 0), *attention, ("attn_output", d, d), ("ffn_norm", d, 0)]
    if arch == "gemma2":
        tensors += [("post_attention_norm", d, 0), ("post_ffw_norm", d, 0)]
    return [*tensors, *mlp, ("ffn_down", d, ff)]


def random_tensor(name: str, shape: tuple[int, ...], weight_type: str, seed: int) -> Array:
    """Return a tensor's values, encoded: float32 for vectors, raw bytes for block types."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])  # whatever the order of calls
    if len(shape) == 1 or name == "position_embd.weight":
        noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
        vector: Array = noise + np.float32(name.endswith("norm.weight"))
        return vector
    sigma = 1 / math.sqrt(shape[-1])  # keeps activations near 1 through every layer
    if weight_type.endswith("_K"):
        blocks = random_blocks(weight_type, math.prod(shape) // 256, sigma, rng)
        return blocks.reshape(*shape[:-1], -1)
    values = rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma)
    encoded: Array = gguf.quantize(values, gguf.GGMLQuantizationType[weight_type])
    return encoded


def random_blocks(
    weight_type: str, count: int, sigma: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return `count` blocks of 256 normally distributed weights, one block a row.

    The quants are drawn from a bell curve, as a quantizer would leave them, rather than evenly:
    compressors then gain on these blocks about what they gain on real ones.
    """
    bits = int(weight_type[1])
    spread = 2**bits / 4.1  # gives the nibbles of Q4_K and Q6_K the entropy found in real models
    middle = 2 ** (bits - 1)
    drawn = rng.standard_normal((count, 256), dtype=np.float32) * spread + (middle - 0.5)
    q = np.clip(np.rint(drawn), 0, 2**bits - 1).astype(np.uint8)
    if weight_type in ("Q3_K", "Q6_K"):
        return _signed_blocks(bits, q, sigma / spread, rng)
    return _offset_blocks(bits, q, sigma / spread, middle - 0.5, rng)


def _planes(q: Array, bits: int, groups: int) -> Array:
    """Pack the low `bits` of quants (count, 256): one byte holds one quant of each group."""
    parts = q.reshape(len(q), -1, groups, 32) & (2**bits - 1)
    shifts = np.arange(0, bits * groups, bits, dtype=np.uint8).reshape(1, 1, -1, 1)
    packed: Array = np.bitwise_or.reduce(parts << shifts, axis=2)
    return packed.reshape(len(q), -1)


def _halves(values: Array) -> Array:
    """Return the bytes of float16 `values`, one a row."""
    return values.astype(np.float16).view(np.uint8).reshape(-1, 2)


def _offset_blocks(
    bits: int, q: Array, step: float, middle: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Q2_K, Q4_K, Q5_K: weight = d·scale·q - dmin·min; equal scale and min centre it on 0."""
    count = len(q)
    width = 4 if bits == 2 else 6  # bits of a scale
    top = 2**width
    scale = rng.integers(top // 2, top, (count, 16 if bits == 2 else 8), dtype=np.uint8)
    d = step / (0.75 * top) * rng.uniform(0.7, 1.3, (count, 1))
    heads = [_halves(d), _halves(d * middle)]
    if bits == 2:
        return np.hstack([scale | scale << 4, _planes(q, 2, 4), *heads])
    low, high = scale[:, :4], scale[:, 4:]
    packed = low | (high >> 4) << 6  # six bits of a low scale, the top two of a high one
    scales = np.hstack([packed, packed, (high & 15) | (high & 15) << 4])
    fifth = [_planes(q >> 4, 1, 8)] if bits == 5 else []
    return np.hstack([*heads, scales, *fifth, _planes(q, 4, 2)])


def _signed_blocks(
    bits: int, q: Array, step: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Q3_K, Q6_K: weight = d·scale·(q - half of the range); scales of both signs centre it."""
    count = len(q)
    top = 32 if bits == 3 else 128
    scale = rng.integers(top // 2, top, (count, 16), dtype=np.int8)
    scale *= rng.choice(np.array([-1, 1], np.int8), (count, 16))
    d = _halves(step / (0.75 * top) * rng.uniform(0.7, 1.3, (count, 1)))
    if bits == 6:
        parts = q.reshape(count, 2, 4, 32)  # ql pairs quants 64 apart, qh packs all four
        ql = parts[:, :, :2] & 15 | (parts[:, :, 2:] & 15) << 4
        return np.hstack([ql.reshape(count, -1), _planes(q >> 4, 2, 4), scale.view(np.uint8), d])
    biased = (scale + 32).view(np.uint8)
    low = biased[:, :8] & 15 | (biased[:, 8:] & 15) << 4
    tops = (biased >> 4).reshape(count, 4, 4) << np.array([0, 2, 4, 6], np.uint8).reshape(1, 4, 1)
    scales = np.hstack([low, np.bitwise_or.reduce(tops, axis=1)])
    return np.hstack([_planes(q >> 2, 1, 8), _planes(q, 2, 4), scales, d])


def write_model(
    path: Path,
    arch: str = "llama",
    weight_type: str = "Q4_K",
    *,
    name: str = "Tiny",
    license: str | None = "MIT",
    chat_template: str | None = CHATML,
    tokenizer: str | None = None,
    shape: Shape = TINY,
    seed: int = 0,
    endian: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE,
    tensors: bool = True,
    change: Callable[[gguf.GGUFWriter], object] = lambda _: None,
) -> Path:
    """Write a model with random weights to `path` and return `path`.

    `tokenizer` is "bpe" (byte-level, the default) or "spm" (the default of gemma and phi3).
    `arch` may be a name nobody knows; it is then written as a llama would be. `change` may alter
    what was added before it is written.
    """
    if arch in ("gpt2", "phi3"):  # a fused QKV of the full width
        shape = dataclasses.replace(shape, kv_heads=shape.heads)
    writer = gguf.GGUFWriter(path, arch, endianess=endian)
    describe(writer, arch, shape, weight_type, name, license)
    spm = (tokenizer or ("spm" if arch in ("gemma", "gemma2", "phi3") else "bpe")) == "spm"
    (add_spm if spm else add_bpe)(writer)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for tensor, dimensions in tensor_shapes(arch, shape) if tensors else ():
        data = random_tensor(tensor, dimensions, weight_type, seed)
        raw = None if data.dtype == np.float32 else gguf.GGMLQuantizationType[weight_type]
        writer.add_tensor(tensor, data, raw_dtype=raw)
    change(writer)
    return finish(writer, path)


def describe(
    writer: gguf.GGUFWriter,
    arch: str,
    shape: Shape,
    weight_type: str,
    name: str,
    license: str | None,
) -> None:
    """Add the metadata that says what the model is and how large."""
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    if license is not None:
        writer.add_license(license)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.embedding)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    if arch == "gpt2":
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(shape.embedding // shape.heads)
    if arch.startswith("gemma"):
        writer.add_key_length(shape.embedding // shape.heads)
        writer.add_value_length(shape.embedding // shape.heads)
    writer.add_file_type(FILE_TYPES[weight_type])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def finish(writer: gguf.GGUFWriter, path: Path) -> Path:
    """Write everything that was added to `path`."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


_MERGES = (
    "t h|th e|Ġ t|Ġ a|i n|e r|Ġ s|o n|r e|Ġ w|Ġ c|a n|e n|o u|Ġ o|i s|Ġ m|Ġ f|Ġ p|Ġ b|o r|a t|"
    "e s|Ġt he|Ġ d|an d|Ġ h|Ġ and|in g"
)
MERGES = _MERGES.split("|")
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def add_bpe(writer: gguf.GGUFWriter, control: Sequence[str] = ()) -> None:
    """Add a byte-level BPE vocabulary: 256 bytes, MERGES, `control` and CONTROL, 288 tokens."""
    octets = map(byte_symbol, range(256))
    special = (*control, *CONTROL)
    tokens = [*octets, *(pair.replace(" ", "") for pair in MERGES), *special]
    types = [gguf.TokenType.NORMAL] * (len(tokens) - len(special))
    types += [gguf.TokenType.CONTROL] * len(special)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(len(tokens) - 3)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)


def add_spm(
    writer: gguf.GGUFWriter,
    pieces: Iterable[str] = "▁abcdefghijklmnopqrstuvwxyz",
    control: Sequence[str] = (),
) -> None:
    """Add a SentencePiece vocabulary: three specials, 256 bytes, `pieces`, `control`, turns.

    A piece is reached only by merging two others; those that come first are merged first.
    """
    kind = gguf.TokenType
    specials = [("<unk>", kind.UNKNOWN), ("<s>", kind.CONTROL), ("</s>", kind.CONTROL)]
    octets = [(f"<0x{byte:02X}>", kind.BYTE) for byte in range(256)]
    normal = [(piece, kind.NORMAL) for piece in pieces]
    turns = [(token, kind.CONTROL) for token in (*control, *CONTROL[1:])]
    tokens = specials + octets + normal + turns
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_scores([-float(index) for index in range(len(tokens))])
    writer.add_token_types([type_ for _, type_ in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)


def split_model(path: Path, parts: int) -> list[Path]:
    """Write the model at `path` as `parts` files beside it, the way llama-gguf-split does.

    The first part holds all metadata; every part holds its number, their count and the number
    of tensors of the whole. The original stays.
    """
    reader = gguf.GGUFReader(path)
    tensors = reader.tensors
    written = []
    for index in range(parts):
        part = path.with_name(f"{path.stem}-{index + 1:05d}-of-{parts:05d}.gguf")
        writer = gguf.GGUFWriter(part, "")  # only the first part names an architecture
        for field in reader.fields.values() if index == 0 else ():
            if not field.name.startswith("GGUF."):
                inner = field.types[1] if len(field.types) > 1 else None
                writer.add_key_value(field.name, field.contents(), field.types[0], inner)
        writer.add_uint16("split.no", index)
        writer.add_uint16("split.count", parts)
        writer.add_int32("split.tensors.count", len(tensors))
        for tensor in tensors[index * len(tensors) // parts : (index + 1) * len(tensors) // parts]:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        written.append(finish(writer, part))
    return written


def no_template(path: Path) -> Path:
    """Write a model without a chat template."""
    return write_model(path, chat_template=None)
