"""NVIDIA's GPUs in a stub: for which it is compiled, and what it has for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from bundler.engine.gpus import cuda
from bundler.engine.gpus.cuda import CudaBackend
from bundler.engine.toolchain import BuildFailed
from bundler.stub import compressed_libraries
from bundler.stub.third_party import NVIDIA
from bundler.targets import Target
from runtime.errors import AppError, UsageError

LEVEL = 12
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


def put(backend: CudaBackend, data: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Put what NVIDIA's GPUs need among the files; return the entry of its licence."""
    total = 0
    for library in (backend.library, *backend.runtime):
        threads = os.cpu_count() or 1
        size = compressed_libraries.put(library, data, say, level=LEVEL, threads=threads)
        whole = library.stat().st_size
        say(f"stub: {library.name}: {size / 1e6:.1f} MB, {whole / 1e6:.1f} unpacked")
        total += size
    say(f"stub: {total / 1e6:.0f} MB for NVIDIA's GPUs, unpacked only where there is one")
    return {
        "name": NVIDIA,
        "version": "",
        "license": LICENSE,
        "text": backend.license.read_text(encoding="utf-8", errors="replace").strip(),
    }
