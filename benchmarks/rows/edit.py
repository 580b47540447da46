"""Edit: to change a default of a large bundle must take seconds, whatever it weighs."""

from __future__ import annotations

from itertools import count

from benchmarks.lab import Lab
from benchmarks.machine import file_system, shares_blocks
from benchmarks.measure import Command, interleave, run, timed
from benchmarks.report import Row

SECONDS = 2.0


def measure(lab: Lab) -> list[Row]:
    """Time `modelembed edit --system` on a stored bundle, in place."""
    model = lab.model("1.1b-q4_k_m")
    target = lab.work / "edited"
    lab.bundle_to(target, model, "--compress", "none")
    texts = (f"You are number {number}." for number in count())

    def edit() -> float:
        command: Command = [
            lab.modelembed,
            "edit",
            target,
            "--system",
            f"You are number {next(texts)}.",
        ]
        return timed(lambda: run(command))

    try:
        (own,) = interleave(lab.rounds(5), edit)
        size = target.stat().st_size / 1e6
    finally:
        target.unlink()
    able = "can" if shares_blocks(lab.work) else "cannot"
    note = f"{file_system(lab.work)}, which {able} share blocks"
    return [Row(f"edit a bundle of {size:.0f} MB", "s", own, target=SECONDS, note=note)]
