"""Bundling: to make the executable must take little longer than to copy the model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.measure import interleave, run
from benchmarks.report import Row


def measure(lab: Lab) -> list[Row]:
    """Time `bundle --compress none --no-check` and `cp` followed by fsync."""
    model = lab.model("1.1b-q4_k_m")
    target = lab.work / "copy"

    def bundle() -> float:
        return timed(lambda: lab.bundle_to(target, model, "--compress", "none"), target)

    def copy() -> float:
        def both() -> None:
            run(["cp", model, target])
            run(["sync", target])  # one file: this is fsync

        return timed(both, target)

    assert lab.stub  # made before the clock runs
    own, peer = interleave(lab.rounds(7), bundle, copy)
    size = model.stat().st_size / 1e6
    return [Row(f"bundle {size:.0f} MB", "s", own, peer, "cp + fsync", 1.5)]


def timed(make: Callable[[], object], target: Path) -> float:
    """Return the seconds `make` takes, with no older writes waiting; remove `target` again."""
    os.sync()
    begin = time.perf_counter()
    make()
    seconds = time.perf_counter() - begin
    target.unlink()
    return seconds
