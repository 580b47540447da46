"""Write files that are no usable models: broken ones, other kinds of file, and ones that lie.

    truncated(path), big_endian(path) …     models that cannot be used, each for one reason
    refused(path, "no_merges")              models that the engine refuses; see REFUSED
    not_gguf(path, "zip")                   other kinds of file; see NOT_GGUF
    hostile(path, "absurd_tensor_count")    containers that lie about themselves; see HOSTILE

The same call gives the same bytes on every machine.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
from ggufs import finish, write_model

Change = Callable[[gguf.GGUFWriter], object]
"""Alters what was added to a model before it is written."""


def truncated(path: Path, missing: int = 1000) -> Path:
    """Write a model that lacks its last `missing` bytes, as after a broken download."""
    write_model(path)
    os.truncate(path, path.stat().st_size - missing)
    return path


def big_endian(path: Path) -> Path:
    """Write a model for big-endian machines."""
    return write_model(path, weight_type="F32", endian=gguf.GGUFEndian.BIG)


def vocabulary_only(path: Path) -> Path:
    """Write a file with a tokenizer and no tensors."""
    return write_model(path, tensors=False)


def unknown_architecture(path: Path) -> Path:
    """Write a well-formed model of an architecture that no engine knows."""
    return write_model(path, "llama99")


def unparsable_template(path: Path) -> Path:
    """Write a model whose chat template is not valid Jinja."""
    return write_model(path, chat_template="{% for message in messages %}{{ message.")


def raising_template(path: Path) -> Path:
    """Write a model whose chat template parses but refuses every conversation."""
    return write_model(path, chat_template="{{ raise_exception('no conversation suits me') }}")


def _without_key(key: str) -> Change:
    return lambda writer: writer.kv_data[0].pop(key)


def _with_key(key: str, value: object) -> Change:
    def change(writer: gguf.GGUFWriter) -> None:
        writer.kv_data[0][key].value = value

    return change


def _without_tensor(name: str) -> Change:
    return lambda writer: writer.tensors[0].pop(name)


def _misshapen(name: str) -> Change:
    def change(writer: gguf.GGUFWriter) -> None:
        del writer.tensors[0][name]
        writer.add_tensor(name, np.zeros((256, 128), np.float32))

    return change


REFUSED: dict[str, tuple[Change, str]] = {
    "no_merges": (
        _without_key("tokenizer.ggml.merges"),
        "error loading model vocabulary: cannot find tokenizer merges in model file",
    ),
    "no_tokens": (
        _without_key("tokenizer.ggml.tokens"),
        "error loading model vocabulary: cannot find tokenizer vocab in model file",
    ),
    "unknown_pre_tokenizer": (
        _with_key("tokenizer.ggml.pre", "tomorrow's"),
        "error loading model vocabulary: unknown pre-tokenizer type: 'tomorrow's'",
    ),
    "unknown_tokenizer": (
        _with_key("tokenizer.ggml.model", "tomorrow's"),
        "error loading model vocabulary: unknown tokenizer: 'tomorrow's'",
    ),
    "no_block_count": (
        _without_key("llama.block_count"),
        "error loading model hyperparameters: key not found in model: llama.block_count",
    ),
    "no_epsilon": (
        _without_key("llama.attention.layer_norm_rms_epsilon"),
        "error loading model hyperparameters: key not found in model: "
        "llama.attention.layer_norm_rms_epsilon",
    ),
    "odd_rope": (
        _with_key("llama.rope.dimension_count", 3),
        "error loading model hyperparameters: invalid n_rot: 3, expected 64",
    ),
    "missing_tensor": (
        _without_tensor("blk.1.ffn_up.weight"),
        "tensor 'blk.1.ffn_up.weight' not found",
    ),
    "wrong_shape": (
        _misshapen("blk.1.ffn_up.weight"),
        "tensor 'blk.1.ffn_up.weight' has wrong shape; expected 256, 256, got 128, 256, 1, 1",
    ),
}
"""Models that the engine refuses: what is changed, and the reason that the engine gives."""
VOCABULARY = ("no_merges", "no_tokens", "unknown_pre_tokenizer", "unknown_tokenizer")
"""Those whose vocabulary it refuses."""


def without_layers(path: Path) -> Path:
    """Write a model at which the engine ends the program."""
    return write_model(path, change=_with_key("llama.block_count", 0))


def refused(path: Path, kind: str) -> Path:
    """Write a model that the engine refuses; `kind` is a key of REFUSED."""
    return write_model(path, change=REFUSED[kind][0])


def projector(path: Path) -> Path:
    """Write a multimodal projector (mmproj), which is a companion and no language model."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_name("Tiny projector")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("mlp")
    writer.add_tensor("mm.0.weight", np.zeros((256, 256), np.float16))
    return finish(writer, path)


def adapter(path: Path) -> Path:
    """Write a LoRA adapter, which changes a model and is none by itself."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 16.0)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((8, 256), np.float32))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", np.zeros((256, 8), np.float32))
    return finish(writer, path)


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # a fixed date: the same bytes always
    return buffer.getvalue()


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixel = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + header + pixel + chunk(b"IEND", b"")


SAFETENSORS = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} '

NOT_GGUF: dict[str, bytes] = {
    "zip": _zip(**{"model.gguf": b"GGUF"}),
    "pytorch": _zip(**{"archive/data.pkl": pickle.dumps({}, 2), "archive/version": b"3\n"}),
    "pickle": pickle.dumps(0x1950A86A20F9469CFC6C, 2),  # how PyTorch before 1.6 began
    "safetensors": struct.pack("<Q", len(SAFETENSORS)) + SAFETENSORS + bytes(4),
    "ggml": struct.pack("<4sI", b"tjgg", 3) + bytes(100),  # llama.cpp before August 2023
    "png": _png(),
    "gzip": b"\x1f\x8b\x08" + bytes(30),
    "html": b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n",
    "json": b'{"error":"Repository not found"}',
    "lfs_pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:"
    + b"0" * 64
    + b"\nsize 667814368\n",
    "text": b"This is not the model you are looking for.\n",
    "elf": b"\x7fELF\x02\x01\x01" + bytes(57),
    "zeros": bytes(4096),
    "empty": b"",
}


def not_gguf(path: Path, kind: str) -> Path:
    """Write a file of another `kind`, a key of NOT_GGUF."""
    path.write_bytes(NOT_GGUF[kind])
    return path


def _header(tensors: int, pairs: int, version: int = 3) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", version, tensors, pairs)


def _string(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


def _pair(key: bytes, kind: int, value: bytes) -> bytes:
    return _string(key) + struct.pack("<I", kind) + value


def _tensor(name: bytes, dimensions: tuple[int, ...] = (32,), kind: int = 0, at: int = 0) -> bytes:
    packed = struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, at)
    return _string(name) + packed


def _container(*tensors: bytes, extra: bytes = b"", pairs: int = 1) -> bytes:
    """Return a container of F32 tensors that is well-formed but for what was passed in."""
    head = _header(len(tensors), pairs) + LLAMA + extra + b"".join(tensors)
    return head + bytes(-len(head) % 32) + bytes(128 * max(len(tensors), 1))


UINT32, STRING, ARRAY = 4, 8, 9
LLAMA = _pair(b"general.architecture", STRING, _string(b"llama"))

HOSTILE: dict[str, Callable[[], bytes]] = {
    "magic_only": lambda: b"GGUF",
    "half_a_header": lambda: _header(1, 1)[:13],
    "version_0": lambda: _header(0, 0, version=0),
    "version_1": lambda: struct.pack("<4sIII", b"GGUF", 1, 0, 0),  # its lengths had 32 bits
    "version_99": lambda: _header(0, 0, version=99),
    "absurd_tensor_count": lambda: _header(1 << 60, 1) + LLAMA,
    "absurd_pair_count": lambda: _header(0, 1 << 60) + LLAMA,
    "negative_tensor_count": lambda: _header((1 << 64) - 1, 1) + LLAMA,
    "key_beyond_end": lambda: _header(0, 1) + _string(b"general", length=1 << 40),
    "key_length_overflow": lambda: _header(0, 1) + _string(b"general", length=(1 << 64) - 1),
    "string_beyond_end": lambda: (
        _header(0, 1) + _pair(b"general.architecture", STRING, _string(b"llama", length=1 << 30))
    ),
    "array_beyond_end": lambda: (
        _header(0, 1) + _pair(b"a", ARRAY, struct.pack("<IQ", UINT32, 1 << 40))
    ),
    "nested_arrays": lambda: (
        _header(0, 1) + _pair(b"a", ARRAY, struct.pack("<IQ", ARRAY, 1) * 100_000)
    ),
    "unknown_value_type": lambda: _header(0, 1) + _pair(b"a", 77, bytes(8)),
    "key_not_utf8": lambda: _container(
        _tensor(b"t"), extra=_pair(b"\xff\xfe", UINT32, bytes(4)), pairs=2
    ),
    "architecture_missing": lambda: _header(0, 1) + _pair(b"a", UINT32, bytes(4)),
    "architecture_not_text": lambda: _header(0, 1) + _pair(LLAMA[8:28], UINT32, bytes(4)),
    "duplicate_key": lambda: _container(extra=LLAMA, pairs=2),
    "duplicate_tensor": lambda: _container(_tensor(b"t"), _tensor(b"t", at=128)),
    "overlapping_tensors": lambda: _container(_tensor(b"t"), _tensor(b"u", at=0)),
    "data_beyond_end": lambda: _container(_tensor(b"t", (1 << 40,))),
    "offset_beyond_end": lambda: _container(_tensor(b"t", at=1 << 40)),
    "offset_overflow": lambda: _container(_tensor(b"t", at=(1 << 64) - 32)),
    "offset_misaligned": lambda: _container(_tensor(b"t"), _tensor(b"u", at=129)),
    "too_many_dimensions": lambda: _container(_tensor(b"t", (2, 2, 2, 2, 2))),
    "absurd_dimension_count": lambda: _header(1, 1) + LLAMA + _string(b"t") + b"\xff" * 4,
    "dimensions_overflow": lambda: _container(_tensor(b"t", (1 << 32, 1 << 32))),
    "negative_dimension": lambda: _container(_tensor(b"t", ((1 << 64) - 32,))),
    "ragged_rows": lambda: _container(_tensor(b"t", (31,), kind=2)),  # Q4_0 has blocks of 32
    "unknown_tensor_type": lambda: _container(_tensor(b"t", kind=999)),
    "tensor_name_too_long": lambda: _container(_tensor(b"t" * 64)),
    "alignment_zero": lambda: _container(
        _tensor(b"t"), extra=_pair(b"general.alignment", UINT32, struct.pack("<I", 0)), pairs=2
    ),
    "alignment_odd": lambda: _container(
        _tensor(b"t"), extra=_pair(b"general.alignment", UINT32, struct.pack("<I", 33)), pairs=2
    ),
}


def hostile(path: Path, kind: str) -> Path:
    """Write a container that lies about itself; `kind` is a key of HOSTILE."""
    path.write_bytes(HOSTILE[kind]())
    return path
