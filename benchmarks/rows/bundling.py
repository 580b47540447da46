"""Bundling: to make the executable must take little longer than to copy the model."""

from __future__ import annotations

import os
import time

from benchmarks.lab import Lab
from benchmarks.measure import interleave, run, timed
from benchmarks.report import Row

FIRST, AGAIN = 1.5, 1.2
"""Targets."""
SETTLE = 2.5  # seconds for which nothing is remembered of a new model


def measure(lab: Lab) -> list[Row]:
    """Time `bundle --compress none --no-check`, twice, and `cp` followed by fsync.

    The first bundling of a model takes its hash and asks the engine about it; the second finds both
    remembered.
    """
    model = lab.model("1.1b-q4_k_m")
    target = lab.work / "copy"
    home = lab.work / "cache"  # of this row alone, so that forgetting harms nobody
    home.mkdir()
    environment = {**os.environ, "XDG_CACHE_HOME": str(home)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what users install
    hashes = home / "modelembed" / "known.json"

    def bundle() -> None:
        lab.bundle_to(target, model, "--compress", "none", env=environment)

    def first() -> float:
        hashes.unlink(missing_ok=True)
        return timed(bundle, target)

    def second() -> float:
        if not hashes.exists():
            timed(bundle, target)
        return timed(bundle, target)

    def copy() -> float:
        def both() -> None:
            run(["cp", model, target])
            run(["sync", target])  # one file: this is fsync

        return timed(both, target)

    assert lab.stub  # made before the clock runs
    time.sleep(max(0.0, SETTLE - (time.time() - model.stat().st_ctime)))
    new, known, peer = interleave(lab.rounds(7), first, second, copy)
    size = model.stat().st_size / 1e6
    return [
        Row(f"bundle {size:.0f} MB, {note}", "s", own, peer, "cp + fsync", target)
        for note, own, target in (
            ("the first time", new, FIRST),
            ("again, hash and verdict remembered", known, AGAIN),
        )
    ]
