"""Memory: a bundled model must take no more than the same model as a file."""

from __future__ import annotations

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.measure import interleave, peak_memory
from benchmarks.report import Row

WORDS, TOKENS = 16, 8


def measure(lab: Lab) -> list[Row]:
    """Compare the peak of anonymous and shared memory, embedded and with `-m FILE`."""
    model = lab.model("1.1b-q4_k_m")
    bundle = lab.bundle(model, "--compress", "none")
    rows = []
    for note, options in (("as it is", ()), ("without repacking", ("--no-repack",))):
        ours = lab.generate(bundle, models.prompt(WORDS), TOKENS, *options)
        peer = lab.generate(lab.stub, models.prompt(WORDS), TOKENS, "-m", model, *options)
        own, other = interleave(
            lab.rounds(3),
            *(lambda c=c: peak_memory(c).total / 1e6 for c in (ours, peer)),
            warm=False,
        )
        rows.append(
            Row("anonymous + shared memory", "MB", own, other, "stub -m FILE", 1.02, note=note)
        )
    return rows
