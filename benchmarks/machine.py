"""Describe the machine and the versions that the figures belong to."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path

from benchmarks import peers
from runtime.machine import available_memory, cpu_name, physical_cores

BUSY = 0.3  # load per core above which timings say little


def describe(folder: Path) -> dict[str, str]:
    """Return facts for the head of a report; `folder` is where the files are written."""
    load = os.getloadavg()[0]
    cores = os.cpu_count() or 1
    return {
        "CPU": f"{cpu_name()}, {cores} processors, {physical_cores()} physical cores to use",
        "memory": f"{(available_memory() or 0) / 1e9:.1f} GB available",
        "system": f"{platform.system()} {platform.release()}, {'-'.join(platform.libc_ver())}",
        "file system": file_system(folder),
        "Python": platform.python_version(),
        "packages": ", ".join(
            f"{name} {_version(name)}"
            for name in ("llama-cpp-python", "pyinstaller", "zstandard", "gguf")
        ),
        "compiler of the peers": peers.compiler()[1],
        "zstd": zstd_version(),
        "load before": f"{load:.2f}" + (" - BUSY: do not trust the times" * (load > BUSY * cores)),
    }


def file_system(path: Path) -> str:
    """Return the type of the file system that `path` lies on."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, point, kind, *_ = line.split()
        inside = path.resolve().is_relative_to(point)
        if inside and len(point) >= len(best[0]):  # the last and deepest mount counts
            best = (point, kind)
    return best[1]


def zstd_version() -> str:
    """Return what the `zstd` program says it is."""
    if not shutil.which("zstd"):
        return "not installed"
    said = subprocess.run(["zstd", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.strip().strip("* ")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
