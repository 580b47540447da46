"""Encode: to compress a model must take no longer than `zstd -3` with as many threads."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.lab import Lab
from benchmarks.measure import Command, interleave, run, timed
from benchmarks.report import Row
from benchmarks.sections import code, require_zstd

TARGET = 1.0
MODELS = ("250m-bf16", "1.1b-q4_k_m")


def measure(lab: Lab) -> list[Row]:
    """Time our coder and the peer on the same files, both to the same folder without fsync."""
    require_zstd()
    return [row for name in MODELS for row in compare(lab, name)]


def compare(lab: Lab, name: str) -> list[Row]:
    """Compare the speeds in GB/s of model; and say what the whole bundling takes."""
    model = lab.model(name)
    size = model.stat().st_size
    target = lab.work / "coded"
    peer: Command = ["zstd", "-3", f"-T{lab.threads}", "-q", model, "-o", target]

    def speed(make: Callable[[], object]) -> Callable[[], float]:
        return lambda: size / timed(make, target) / 1e9

    assert lab.stub  # made before the clock runs
    own, other = interleave(
        lab.rounds(5), speed(lambda: code(model, target, lab.threads)), speed(lambda: run(peer))
    )
    (whole,) = interleave(
        lab.rounds(3),
        lambda: timed(lambda: lab.bundle_to(target, model, "--compress", "max"), target),
    )
    return [
        Row(
            f"compress {name} with {lab.threads} threads",
            "GB/s",
            own,
            other,
            f"zstd -3 -T{lab.threads}",
            TARGET,
            at_least=True,
        ),
        Row(f"bundle --compress max --no-check, {size / 1e6:.0f} MB {name}", "s", whole),
    ]
