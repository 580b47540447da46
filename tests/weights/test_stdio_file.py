"""Streams for the engine: what they take of memory, and where they end."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import bundles
import pytest

from runtime import bounds
from runtime.container import bundle_file
from runtime.weights import cookie_stream
from runtime.weights.stdio_file import DecodingFile, EndingFile


def stdio() -> ctypes.CDLL:
    """Return C's functions for streams, as the engine calls them."""
    libc = ctypes.CDLL(None)
    libc.fread.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)
    libc.fseek.argtypes = (ctypes.c_void_p, ctypes.c_long, ctypes.c_int)
    libc.ftell.argtypes = libc.fileno.argtypes = (ctypes.c_void_p,)
    libc.ftell.restype = ctypes.c_long
    return libc


@pytest.mark.parametrize("size", [1 << 10, 1 << 20])
def test_large_chunks_are_decoded_by_fewer_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(bounds, "DECODED", 20 << 20)
    chunks = [bundles.chunk(bytes([number]) * size) for number in range(30)]
    bundle = bundle_file.load(bundles.write(tmp_path / "chat", [bundles.planes(*chunks)]))
    section = bundle.manifest.sections[0]
    whole = ctypes.create_string_buffer(section.size)
    with DecodingFile(bundle, section, threads=16) as file:
        held = sum(len(buffer.view) for buffer in file._free)
        assert section.size == stdio().fread(whole, 1, section.size, file.pointer)
    bundle.close()

    assert held <= bounds.DECODED
    assert whole.raw == b"".join(chunk.original for chunk in chunks)


@pytest.mark.parametrize("size", [100, 3 << 20])
def test_what_lies_behind_a_model_is_not_seen(tmp_path: Path, size: int) -> None:
    before, model, behind = b"stub", os.urandom(size), b"projector" * 1000
    path = tmp_path / "chat"
    path.write_bytes(before + model + behind)
    end = len(before) + size
    libc, read = stdio(), ctypes.create_string_buffer(end + 1)
    with open(path, "rb") as opened, EndingFile(opened.fileno(), len(before), end) as file:
        assert len(before) == libc.ftell(file.pointer)
        assert size == libc.fread(read, 1, end + 1, file.pointer)
        assert model == read.raw[:size]
        libc.fseek(file.pointer, 0, os.SEEK_END)
        assert end == libc.ftell(file.pointer)
        libc.fseek(file.pointer, 0, os.SEEK_SET)
        assert len(before) == libc.fread(read, 1, len(before), file.pointer)
        assert before == read.raw[: len(before)]

        assert file.mappable
        number = libc.fileno(file.pointer)
        assert number != opened.fileno()
        assert os.path.samestat(os.fstat(number), path.stat())


def test_a_stream_that_cannot_have_a_file_is_not_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cookie_stream, "NO_FILE", -3)  # as of a C library that is not glibc
    (tmp_path / "chat").write_bytes(b"model and more")
    with open(tmp_path / "chat", "rb") as opened, EndingFile(opened.fileno(), 0, 5) as file:
        assert not file.mappable
        assert -1 == stdio().fileno(file.pointer)
