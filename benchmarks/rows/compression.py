"""Compression: what `max` saves on real weights of each type, and what `zstd -19` would."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks import minilm
from benchmarks.lab import Lab
from benchmarks.report import Row
from benchmarks.sections import Coded, code, require_zstd

TARGETS = {"BF16": 33.0, "F16": 15.0, "Q8_0": 5.4, "Q4_K": 4.6, "Q4_0": 7.9}
"""Per cent of the weights that must be saved."""
NUMBERS = ("F32", "BF16", "F16")
BETTER = 1.3
"""Times what `zstd -19` saves of the same quantized bytes."""
LEAST = 0.01
"""Per cent that the peer is taken to save where it saves nothing: a ratio needs something."""


@dataclass(frozen=True)
class Saving:
    """Per cent saved, of a sample's weights alone and of the whole file."""

    weights: float
    file: float


def measure(lab: Lab) -> list[Row]:
    """Compare the sizes; they are the same in every run, so one is enough."""
    require_zstd()
    shares, ratios = [], []
    for kind in minilm.TYPES:
        sample = minilm.sample(kind, small=lab.small)
        target = lab.work / "coded"
        coded = code(sample, target, lab.threads)
        target.unlink()
        own = saving(coded)
        note = f"{own.file:.1f} % of the whole file"
        goal = TARGETS.get(kind)
        shares.append(
            Row(f"saved on {kind}", "%", (own.weights,), target=goal, at_least=True, note=note)
        )
        if kind not in NUMBERS:
            ratios += against(zstd(sample, coded.data_offset), own, kind)
    return [*shares, *ratios]


def saving(coded: Coded) -> Saving:
    """Return what coding saved: chunks hold either weights or what comes before them."""
    weights = [chunk for chunk in coded.table if chunk.target >= coded.data_offset]
    after = sum(chunk.length for chunk in weights)
    before = sum(chunk.size for chunk in weights)
    return Saving(percent(after, before), percent(coded.length, coded.size))


def zstd(sample: Path, data_offset: int) -> Saving:
    """Return what `zstd -19` saves of a file, and of what lies behind `data_offset`."""
    data = sample.read_bytes()
    command = ["zstd", "-19", "-T1", "-qc"]
    after = [
        len(subprocess.run(command, input=part, stdout=subprocess.PIPE, check=True).stdout)
        for part in (data[data_offset:], data)
    ]
    return Saving(percent(after[0], len(data) - data_offset), percent(after[1], len(data)))


def against(peer: Saving, own: Saving, kind: str) -> list[Row]:
    """Return how much more is saved: of the weights alone, and with the vocabulary."""
    pairs = (
        (f"saved on {kind}", own.weights, peer.weights),
        (f"saved on {kind} with vocabulary", own.file, peer.file),
    )
    return [
        Row(what, "%", (ours,), (max(LEAST, theirs),), "zstd -19", BETTER, at_least=True)
        for what, ours, theirs in pairs
    ]


def percent(after: int, before: int) -> float:
    """Return how many per cent were saved."""
    return 100 * (1 - after / before)
