"""Describe the machine and the versions that the figures belong to."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import peers
from benchmarks.measure import BenchmarkError
from runtime.host.resources import available_memory, cpu_name, physical_cores

BUSY = 0.3  # load per core above which timings say little
WIDE = ("avx", "amx", "fma", "asimd", "sve")  # how the kernel's names of them begin
FICLONE = 0x40049409  # of <linux/fs.h>: make one file share all blocks of another


def describe(folder: Path) -> dict[str, str]:
    """Return facts for the head of a report; `folder` is where the files are written."""
    load = os.getloadavg()[0]
    cores = os.cpu_count() or 1
    return {
        "CPU": f"{cpu_name()}, {cores} processors, {physical_cores()} physical cores to use",
        "memory": f"{(available_memory() or 0) / 1e9:.1f} GB available",
        "system": f"{platform.system()} {platform.release()}, {'-'.join(platform.libc_ver())}",
        "file system": file_system(folder) + " that shares blocks" * shares_blocks(folder),
        "SHA-256": sha256_speed(),
        "Python": platform.python_version(),
        "packages": ", ".join(
            f"{name} {_version(name)}"
            for name in ("llama-cpp-python", "pyinstaller", "zstandard", "xxhash", "gguf")
        ),
        "compiler of the peers": compiler_version(),
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


def shares_blocks(folder: Path) -> bool:
    """Say whether files in `folder` can share blocks ("reflinks")."""
    with tempfile.TemporaryFile(dir=folder) as one, tempfile.TemporaryFile(dir=folder) as other:
        one.write(bytes(1 << 16))
        one.flush()
        try:
            fcntl.ioctl(other.fileno(), FICLONE, one.fileno())
        except OSError:
            return False
    return True


def sha256_speed() -> str:
    """Return how fast one core takes SHA-256, and whether it has instructions for that."""
    data = bytes(1 << 26)
    begin = time.perf_counter()
    hashlib.sha256(data)
    speed = len(data) / (time.perf_counter() - begin) / 1e9
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    able = re.search(r"^(flags|Features)\s*:.*\b(sha_ni|sha2)\b", cpu, re.MULTILINE)
    return f"{speed:.2f} GB/s with{'' if able else 'out'} instructions for it"


def instructions() -> str:
    """Return which wide instructions the CPU has, of those that decide how fast models run."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    flags = re.search(r"^(flags|Features)\s*:(.*)$", cpu, re.MULTILINE)
    known = flags[2].split() if flags else []
    return " ".join(flag for flag in known if flag.startswith(WIDE)) or "none of the wide ones"


def compiler_version() -> str:
    """Return what the compiler that the peers are built with says it is."""
    try:
        return peers.compiler()[1]
    except BenchmarkError:
        return "none"


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
