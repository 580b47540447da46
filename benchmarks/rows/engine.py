"""Engine: many answers at once, Python's share, idleness, leaks, and nothing computed twice."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError, interleave, run
from benchmarks.report import Row

SEQUENCES, READING, WRITING = 8, 64, 32
SUBMISSIONS = 1000


def measure(lab: Lab) -> list[Row]:
    """Compare 8 sequences with `llama-batched-bench`; measure the rest by itself."""
    large, small = lab.model("1.1b-q4_k_m"), lab.model("110m-q8_0")
    rows = []
    for name, model in (("1.1B", large), ("110M", small)):
        own, peer = interleave(
            lab.rounds(5),
            lambda model=model: probe(lab, "together", model, SEQUENCES, READING, WRITING)["total"],
            lambda model=model: batched(lab, model),
        )
        what = f"{SEQUENCES} sequences at once, {name}"
        rows.append(Row(what, "tokens/s", own, peer, "llama-batched-bench", 1.0, at_least=True))
    for name, model, bound in (("1.1B", large, 0.01), ("110M", small, 0.1)):
        shares = [probe(lab, "share", model, WRITING * 2) for _ in range(lab.rounds(3))]
        values = tuple(100 * found["share"] for found in shares)
        micro = sorted(found["per_token_s"] for found in shares)[len(shares) // 2] * 1e6
        note = f"{micro:.0f} µs a token"
        rows.append(Row(f"Python's share, {name}", "%", values, target=100 * bound, note=note))
    found = probe(lab, "turns", small)
    extra = found["computed"] - found["new"]
    rows += [
        Row(
            "computed twice in a second turn",
            "tokens",
            (extra,),
            target=1,
            note=f"{found['new']} were new; the last token of an answer is computed with them",
        ),
        Row("CPU while idle", "% of a core", (100 * probe(lab, "idle", small)["share"],), target=1),
        Row(
            f"growth over {SUBMISSIONS} submissions",
            "MB",
            (probe(lab, "growth", small, SUBMISSIONS)["bytes"] / 1e6,),
            target=5,
        ),
    ]
    return rows


def probe(lab: Lab, what: str, model: Path, *numbers: int) -> Any:
    """Measure one thing in a process of its own."""
    words = [str(number) for number in (lab.threads, *numbers)]
    return json.loads(run([sys.executable, "-m", "benchmarks.probe", what, model, *words]).out)


def batched(lab: Lab, model: Path) -> float:
    """Return the tokens/s of reading and writing together, by llama-batched-bench."""
    room = SEQUENCES * (READING + WRITING + 1)
    sizes = ["-npp", READING, "-ntg", WRITING, "-npl", SEQUENCES, "-c", room, "-t", lab.threads]
    words = [str(word) for word in (lab.peers.batched, "-m", model, *sizes)]
    out = run([*words, "--output-format", "jsonl"]).out
    # Its log is written by another thread, which may put something else on the same line.
    if not (found := re.search(r"\{.*\}", out)):
        raise BenchmarkError(f"llama-batched-bench printed no figures: {out[-500:]!r}")
    return float(json.loads(found[0])["speed"])
