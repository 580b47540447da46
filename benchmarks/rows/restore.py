"""Restore: a compressed model must come back faster than `zstd -dc` brings anything back."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError, interleave, run
from benchmarks.report import Row
from benchmarks.sections import cut_frames, opened, require_zstd
from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.weights import decompress

TARGETS = {"250m-bf16": 2.0, "1.1b-q4_k_m": 1.3}
"""Against the model as `zstd -3` leaves it, piped."""
FRAMES = 1.5
"""Against our own frames, straight into a memfd."""
THREADS = 2
"""With which the targets must be reached; the peer has one."""


def measure(lab: Lab) -> list[Row]:
    """Compare the speeds in GB/s of restored content, all into a fresh memfd."""
    require_zstd()
    return [row for name, target in TARGETS.items() for row in compare(lab, name, target)]


def compare(lab: Lab, name: str, target: float) -> list[Row]:
    """Compare on one model: with the peer's own compression, and with our frames."""
    model = lab.model(name)
    size = model.stat().st_size
    threads = min(THREADS, lab.threads)
    theirs, frames = lab.work / "model.zst", lab.work / "frames.zst"
    try:
        run(["zstd", "-3", "-q", model, "-o", theirs])
        with opened(lab.bundle(model, "--compress", "max")) as (bundle, section):
            content = cut_frames(bundle, section, frames)
            sides = [
                lambda: size / ours(bundle, section, threads) / 1e9,
                lambda: size / unpack(theirs, size, piped=True) / 1e9,
                lambda: content / unpack(frames, content, piped=False) / 1e9,
            ]
            if lab.threads > threads:
                sides.append(lambda: size / ours(bundle, section, lab.threads) / 1e9)
            own, piped, direct, *more = interleave(lab.rounds(9), *sides)
    finally:
        theirs.unlink(missing_ok=True)
        frames.unlink(missing_ok=True)
    what = f"restore {name} with {threads} threads"
    alone = threads < THREADS
    against = "zstd -dc | cat"
    note = "peer: the model by zstd -3"
    rows = [
        Row(
            what,
            "GB/s",
            own,
            piped,
            against,
            None if alone else target,
            at_least=True,
            note=note,
        ),
        Row(
            what,
            "GB/s",
            own,
            direct,
            "zstd -dc",
            None if alone else FRAMES,
            at_least=True,
            note=f"peer: our frames, {content / size:.0%} of the model",
        ),
    ]
    what = f"restore {name} with {lab.threads} threads"
    return rows + [Row(what, "GB/s", figures, piped, against, note=note) for figures in more]


def ours(bundle: Bundle, section: Section, threads: int) -> float:
    """Restore the section as a start does; return the seconds it took."""
    begin = time.perf_counter()
    memory = decompress.to_fd(bundle, section, threads=threads)
    seconds = time.perf_counter() - begin
    os.close(memory)
    return seconds


def unpack(packed: Path, size: int, *, piped: bool) -> float:
    """Let `zstd -dc` write `size` bytes to a memfd, by way of `cat` if `piped`; time it."""
    command = f"zstd -dcq {packed.name}" + " | cat" * piped
    memory = os.memfd_create("peer")
    try:
        begin = time.perf_counter()
        subprocess.run(["sh", "-c", command], cwd=packed.parent, stdout=memory, check=True)
        seconds = time.perf_counter() - begin
        if os.fstat(memory).st_size != size:
            raise BenchmarkError("zstd -dc restored another number of bytes")
    finally:
        os.close(memory)
    return seconds
