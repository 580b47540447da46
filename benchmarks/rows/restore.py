"""Restore: a compressed section must come back faster than `zstd -dc` on its own frames."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError, interleave
from benchmarks.report import Row
from runtime import payload

TARGET = 1.5  # with two cores


def measure(lab: Lab) -> list[Row]:
    """Compare the speeds in GB/s of restored model, both into a fresh memfd."""
    if not shutil.which("zstd"):
        raise BenchmarkError("the program zstd is not installed")
    model = lab.model("250m-bf16")
    size = model.stat().st_size
    bundle = lab.bundle(model, "--compress", "zstd")
    frames = cut_frames(bundle, lab.work / "frames.zst")
    command = lab.generate(bundle, models.prompt(1), 1)

    def ours() -> float:
        report = lab.reported(command)
        if report["restored_bytes"] != size:
            raise BenchmarkError(f"{report['restored_bytes']} bytes restored, expected {size}")
        return size / float(report["restore_s"]) / 1e9

    try:
        own, peer = interleave(lab.rounds(9), ours, lambda: size / unpack(frames, size) / 1e9)
    finally:
        frames.unlink()
    return [
        Row(
            f"restore with {lab.threads} threads",
            "GB/s",
            own,
            peer,
            "zstd -dc",
            TARGET if lab.threads >= 2 else 1.0,
            at_least=True,
        )
    ]


def cut_frames(bundle: Path, target: Path) -> Path:
    """Write the compressed section as it lies in the bundle to a file of its own."""
    found = payload.load(bundle)
    try:
        section = found.model
        if section is None or section.codec == "stored":
            raise BenchmarkError(f"{bundle} has no compressed model")
        payload.copy_out(found.fd, section.offset, section.length, target)
    finally:
        found.close()
    return target


def unpack(frames: Path, size: int) -> float:
    """Let `zstd -dc` write the frames' content to a memfd; return the seconds it took."""
    memory = os.memfd_create("peer")
    try:
        begin = time.perf_counter()
        subprocess.run(["zstd", "-dcq", frames], stdout=memory, check=True)
        seconds = time.perf_counter() - begin
        if os.fstat(memory).st_size != size:
            raise BenchmarkError("zstd -dc restored another number of bytes")
    finally:
        os.close(memory)
    return seconds
