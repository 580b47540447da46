"""Identify a file that is not a GGUF by its first bytes, and say what to do about it."""

from __future__ import annotations

import struct
from collections.abc import Callable

FIRST_BYTES = 512
"""How many are enough to tell."""

KNOWN: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (lambda b: not b, "an empty file", "download it again"),
    (
        lambda b: not any(b),
        "zeros, space that a download reserved and never filled",
        "finish or repeat its download",
    ),
    (
        lambda b: b.startswith(b"version https://git-lfs"),
        "a Git LFS pointer, not the model itself",
        "fetch the real file with `git lfs pull`",
    ),
    (
        lambda b: b.startswith(b"PK\x03\x04"),
        "a ZIP archive or a PyTorch checkpoint",
        "unpack it, or convert the checkpoint with llama.cpp's convert_hf_to_gguf.py",
    ),
    (
        lambda b: b[:2] == b"\x80\x02" or b[:2] == b"\x80\x04",
        "a Python pickle (an old PyTorch checkpoint)",
        "convert it with llama.cpp's convert_hf_to_gguf.py",
    ),
    (
        lambda b: len(b) > 9 and b[8:9] == b"{" and struct.unpack("<Q", b[:8])[0] < 1 << 32,
        "a safetensors file",
        "convert the model with llama.cpp's convert_hf_to_gguf.py",
    ),
    (
        lambda b: b[:4] in (b"ggjt", b"tjgg", b"lmgg", b"fmgg", b"ggml", b"ggmf", b"ggla"),
        "a model in a GGML format from before GGUF",
        "get or convert a GGUF version of the model",
    ),
    (lambda b: b.startswith(b"\x1f\x8b"), "gzip-compressed data", "unpack it with gunzip"),
    (lambda b: b.startswith(b"\x28\xb5\x2f\xfd"), "zstd-compressed data", "unpack it with zstd -d"),
    (lambda b: b.startswith(b"7z\xbc\xaf"), "a 7-Zip archive", "unpack it"),
    (lambda b: b.startswith(b"\x89PNG"), "a PNG image", "pass the .gguf file"),
    (lambda b: b.startswith(b"\x7fELF"), "a Linux program", "pass the .gguf file"),
    (
        lambda b: b.lstrip()[:1] == b"<",
        "a web page, probably an error or login page saved by a download",
        "download the file itself, signed in if the model asks for it",
    ),
    (lambda b: b.lstrip()[:1] == b"{", "JSON text", "pass the .gguf file"),
)


def identify(start: bytes) -> tuple[str, str]:
    """Return what a file seems to be, given its first bytes, and what the user can do."""
    for matches, what, cure in KNOWN:
        if matches(start):
            return what, cure
    hint = "pass a model in GGUF format"
    if _is_text(start):
        return "a text", hint
    return f"an unknown format: its first bytes are {start[:4].hex(' ')}", hint


def _is_text(start: bytes) -> bool:
    text = start.decode("utf-8", "ignore")  # the last character may be cut
    return len(text.encode()) > len(start) - 4 and all(c.isprintable() or c.isspace() for c in text)
