"""Streams for the engine: what they take of memory."""

from __future__ import annotations

import ctypes
from pathlib import Path

import bundles
import pytest

from runtime import bounds
from runtime.container import bundle_file
from runtime.weights.stdio_file import DecodingFile


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
        libc = ctypes.CDLL(None)
        libc.fread.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)
        assert section.size == libc.fread(whole, 1, section.size, file.pointer)
    bundle.close()

    assert held <= bounds.DECODED
    assert whole.raw == b"".join(chunk.original for chunk in chunks)
