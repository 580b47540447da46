"""Answer: the whole process, from start to one token and exit, on a warm 1.1B model."""

from __future__ import annotations

import re

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError, Command, interleave, run
from benchmarks.report import Row

WORDS = 8
WHAT = "start, answer with one token, exit"


def measure(lab: Lab) -> list[Row]:
    """Time the stored bundle and `llama-completion` on the file, with and without warm-up."""
    model = lab.model("1.1b-q4_k_m")
    ours = lab.generate(lab.bundle(model, "--compress", "none"), models.prompt(WORDS), 1)
    peer = lab.complete(model, models.prompt(WORDS), 1)
    lean = [*peer, "--no-warmup"]  # it runs the model once for nothing unless told not to
    check_same_prompt(lab, ours, peer)
    own, usual, leanest = interleave(
        lab.rounds(9), *(lambda c=c: run(c).seconds for c in (ours, peer, lean))
    )
    return [
        Row(WHAT, "s", own, usual, "llama-completion", 1.25, note="aim 1.0"),
        Row(WHAT, "s", own, leanest, "llama-completion --no-warmup"),
    ]


def check_same_prompt(lab: Lab, ours: Command, peer: Command) -> None:
    """Raise BenchmarkError unless both sides saw a prompt of the same length."""
    own = int(lab.reported(ours)["prompt_tokens"])
    said = run(peer).err
    match = re.search(r"prompt eval time =.*?/\s*(\d+) tokens", said)
    theirs = int(match[1]) if match else None
    if own != theirs:
        raise BenchmarkError(f"the prompts differ: ours has {own} tokens, the peer's {theirs}")
