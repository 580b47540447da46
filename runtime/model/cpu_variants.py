"""Selection of the engine's CPU variant: the fastest that works on this processor.

Each variant library scores how well it suits the processor (0: not supported). A high score does
not prove that it works: miscompiled code, an emulator, or a hypervisor that hides CPU features can
still end in SIGILL. So the best variant first evaluates a small model in a child process, and its
logits must agree with those of the plainest variant. The verdict is cached per processor and build.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from runtime.errors import ModelError, UsageError
from runtime.host import resources
from runtime.model import probing, variant_files
from runtime.model.variant_files import variants

TOLERANCES = {"x86_64": 0.05, "aarch64": 0.15}
"""Largest absolute difference of two logits, which are of order 1, by the processor.

Quantized products round activations to 8 bits, in blocks that differ between variants. ARM's from
armv8.2_2 on add up in half precision, which is off by 0.051 from its plainest variant, and by 0.060
from x86-64's. Miscompiled variants are off by orders of magnitude.
"""
PROBE_MODEL, PROBE_LOGITS, PROBE_TOKENS = probing.MODEL, probing.LOGITS, probing.TOKENS
CHILD_SECONDS = 60
TRANSIENT = (*probing.TRANSIENT, probing.TOO_LONG)
"""Failures for lack of memory or time; such a verdict is not remembered."""
KEYS = {"variant": str, "scores": dict, "rejected": dict}


@dataclass(frozen=True)
class Selection:
    """The selected variant, and what is known about the others."""

    name: str
    path: Path
    scores: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    """Better variants that failed, with the reason."""


def choose(folder: Path, probe: Path, *, force: str = "", build: str = "") -> Selection:
    """Return the variant in `folder` to use on this processor.

    `probe` is the folder with the probe model, `build` identifies the libraries and is the key of
    the cached verdict (empty: no caching). `force` names a variant to use without the probe. Forks,
    so it must run before the engine or any thread is started. Raise UsageError if there is no
    variant of the forced name, ModelError if the processor does not support it, or no variant
    works.
    """
    identity = f"{resources.cpu_identity()}\n{build}" if build else ""
    cache = probing.VerdictCache("cpu", identity, KEYS)
    known = None if force else cache.load()
    available = variant_files.there(folder)
    if not known or known["variant"] not in available:
        available = variants(folder)  # those in the program's archive too, which takes longer
    if force:
        if force not in available:
            raise UsageError(
                f"there is no CPU variant '{force}'", hint=f"the variants: {', '.join(available)}"
            )
        if not scores({force: available[force]}).get(force):
            raise ModelError(
                f"the CPU variant '{force}' cannot be used: this processor "
                f"({resources.cpu_name()}) lacks what it needs",
                hint="leave out --cpu, or name another variant: "
                + ", ".join(name for name, score in scores(available).items() if score),
            )
        return Selection(force, variant_files.unpacked(available[force]))
    if known and known["variant"] in available:
        name = known["variant"]
        path = variant_files.unpacked(available[name])
        return Selection(name, path, known["scores"], known["rejected"])
    found = scores(available)
    rejected: dict[str, str] = {}
    ranking = sorted((n for n in available if found.get(n)), key=lambda n: -found[n])
    for name in ranking:
        failure = prove(variant_files.unpacked(available[name]), probe)
        if not failure:
            if not any(words in text for text in rejected.values() for words in TRANSIENT):
                cache.store({"variant": name, "scores": found, "rejected": rejected})
            return Selection(name, available[name], found, rejected)
        rejected[name] = failure
        print(
            f"note: CPU variant {name} does not work here ({failure}); trying the next best",
            file=sys.stderr,
        )
    raise ModelError(
        f"none of the CPU variants works on this processor ({resources.cpu_name()})",
        hint="name one with --cpu to see how it fails: " + ", ".join(available),
    )


def prove(variant: Path, probe: Path) -> str:
    """Evaluate the probe model with one variant in a child; return how it failed, "" if not."""
    reference = probe / PROBE_LOGITS
    if not reference.exists():
        return ""
    expected = reference.read_bytes()
    status, output = probing.in_child(
        lambda out: out.write(logits(variant, probe / PROBE_MODEL)), CHILD_SECONDS
    )
    if status:
        return status
    return compare(expected, output)


def compare(expected: bytes, found: bytes, machine: str = "") -> str:
    """Return how two rows of little-endian float32 logits differ, "" if by little.

    How much is little depends on the `machine` that computed them, by default this one.
    """
    tolerance = TOLERANCES.get(machine or platform.machine(), max(TOLERANCES.values()))
    return probing.compare(expected, found, tolerance)


def logits(variant: Path, model: Path) -> bytes:
    """Return the logits of `variant`; see probing.logits. In a child process only."""
    from runtime.model import llama_api

    llama_api.load_variant(variant)
    llama_api.start()
    return probing.logits(model)


def scores(available: dict[str, Path]) -> dict[str, int]:
    """Return the score of every variant, asked in a child process: even loading one may crash."""
    with variant_files.all_unpacked(available) as unpacked:
        return _asked(unpacked)


def _asked(available: dict[str, Path]) -> dict[str, int]:
    found: dict[str, int] = {}
    remaining = dict(available)
    while remaining:
        status, output = probing.in_child(lambda out: _write_scores(remaining, out), CHILD_SECONDS)
        for line in output.decode().splitlines():
            name, score = line.split()
            if score.lstrip("-").isdigit():
                found[name] = int(score)
            remaining.pop(name, None)
        if not status:
            return found
        # The child crashed on the first variant without a score.
        if remaining:
            found[next(iter(remaining))] = 0
            remaining.pop(next(iter(remaining)))
    return found


def _write_scores(available: dict[str, Path], out: BinaryIO) -> None:
    """Write a line "NAME SCORE" for each variant."""
    for name, path in available.items():
        try:
            score = ctypes.CDLL(str(path)).ggml_backend_score()
        except (OSError, AttributeError):
            score = 0
        out.write(f"{name} {score}\n".encode())  # unbuffered: the next one may crash
