"""Backends for GPUs in a stub: compressed, since few machines need them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from bundler.engine import cuda
from bundler.engine.cuda import CudaBackend
from bundler.engine.toolchain import BuildFailed, kept
from bundler.stub.third_party import NVIDIA
from bundler.targets import Target
from runtime.container.archive import COMPRESSED
from runtime.errors import AppError, UsageError
from runtime.host import app_dirs

FOLDER = "llama_cpp/lib"
"""Where the program has the engine's libraries."""
LEVEL = 19  # 5.9 MB of 44, 7.6 at 10, for half a minute once
CUDA_LEVEL = 12
LICENSE = "NVIDIA CUDA Toolkit EULA; its Attachment A lets cudart and cuBLAS be redistributed"


def architectures(named: str | None) -> tuple[str, ...]:
    """Return the architectures of NVIDIA's GPUs to compile for, the usual ones if none are `named`.

    Raise UsageError if one is unknown.
    """
    try:
        return cuda.USUAL if named is None else cuda.parse(named)
    except BuildFailed as exc:
        raise UsageError(str(exc), hint=f"--cuda-arch {','.join(cuda.USUAL)}") from exc


def require_compiler(target: Target, chosen: Sequence[str]) -> None:
    """Raise AppError where the `chosen` architectures, if any, cannot be compiled for a target."""
    try:
        if chosen:
            cuda.require_compiler(target)
    except BuildFailed as exc:
        raise AppError(str(exc), hint="or leave out --gpu cuda") from exc


def put(library: Path, data: Path, say: Callable[[str], None]) -> None:
    """Put the library, compressed, among the files that go into the program."""
    _put(library, _compressed(library, LEVEL, 0, say), data)


def put_cuda(backend: CudaBackend, data: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Put what NVIDIA's GPUs need among the files; return the entry of its licence."""
    total = 0
    for library in (backend.library, *backend.runtime):
        compressed = _compressed(library, CUDA_LEVEL, os.cpu_count() or 1, say)
        _put(library, compressed, data)
        whole, size = library.stat().st_size, compressed.stat().st_size
        say(f"stub: {library.name}: {size / 1e6:.1f} MB, {whole / 1e6:.1f} unpacked")
        total += size
    say(f"stub: {total / 1e6:.0f} MB for NVIDIA's GPUs, unpacked only where there is one")
    return {
        "name": NVIDIA,
        "version": "",
        "license": LICENSE,
        "text": backend.license.read_text(encoding="utf-8", errors="replace").strip(),
    }


def _put(library: Path, compressed: Path, data: Path) -> None:
    target = data / FOLDER / f"{library.name}{COMPRESSED}"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(compressed.read_bytes())


def _compressed(library: Path, level: int, threads: int, say: Callable[[str], None]) -> Path:
    """Return the compressed library; from the cache if it was compressed before."""
    content = library.read_bytes()

    def make(folder: Path) -> None:
        import zstandard

        say(f"stub: compressing {library.name}, {len(content) / 1e6:.0f} MB, once")
        compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, threads=threads)
        (folder / library.name).write_bytes(compressor.compress(content))

    key = hashlib.sha256(content).hexdigest()[:16]
    return kept(app_dirs.cache() / "compressed" / f"{level}-{key}", make) / library.name
