"""Start: a 20 GB payload must cost nothing, and the program little more than any Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.measure import interleave, run
from benchmarks.report import Row

HOLE = 20_000_000_000
SMALL_HOLE = 50_000_000
BARE = 1.2
"""Of a hello-world program, which does nothing but start Python."""
STUB_MB = 70


def measure(lab: Lab) -> list[Row]:
    """Time `--version` of a huge bundle, of the bare stub, and a hello-world program."""
    huge = lab.bundle(models.sparse(SMALL_HOLE if lab.small else HOLE), "--compress", "none")
    sides = interleave(
        lab.rounds(21), timer(huge, "--version"), timer(lab.stub, "--version"), timer(lab.hello)
    )
    with_payload, bare, hello = sides
    payload = f"{huge.stat().st_size / 1e9:.1f} GB"
    return [
        Row(f"start with a payload of {payload}", "s", with_payload, bare, "without", 1.05),
        Row("start of the bare stub", "s", bare, hello, "hello world", BARE),
        Row("size of the stub", "MB", (lab.stub.stat().st_size / 1e6,), target=STUB_MB),
    ]


def timer(program: Path, *arguments: str) -> Callable[[], float]:
    """Return a function that runs the program and returns the seconds it took."""
    return lambda: run([program, *arguments]).seconds
