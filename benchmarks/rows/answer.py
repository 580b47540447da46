"""Answer: the whole process, from start to the last token and exit, on a warm 1.1B model."""

from __future__ import annotations

import re

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError, Command, interleave, run
from benchmarks.report import Row

WORDS, LONG_WORDS, LONG_TOKENS = 8, 1000, 100
"""Of the short prompt, of the long one, and of the answer to that."""
CONTEXT = 2048
"""Tokens, in which the long ones fit."""
SHORT_TARGET, LONG_TARGET = 0.8, 1.0


def measure(lab: Lab) -> list[Row]:
    """Time the stored bundle and `llama-completion` on the file, with and without warm-up."""
    model = lab.model("1.1b-q4_k_m")
    program = lab.bundle(model, "--compress", "none")
    ours = lab.generate(program, models.prompt(WORDS), 1)
    peer = lab.complete(model, models.prompt(WORDS), 1)
    lean = [*peer, "--no-warmup"]  # it runs the model once for nothing unless told not to
    check_same_prompt(lab, ours, peer)
    own, usual, leanest = interleave(
        lab.rounds(9), *(lambda c=c: run(c).seconds for c in (ours, peer, lean))
    )
    asked = models.prompt(LONG_WORDS), LONG_TOKENS, "-c", str(CONTEXT)
    long_ours, long_peer = lab.generate(program, *asked), lab.complete(model, *asked)
    tokens = check_same_prompt(lab, long_ours, long_peer)
    own_long, peer_long = interleave(
        lab.rounds(3), *(lambda c=c: run(c).seconds for c in (long_ours, long_peer)), warm=False
    )
    short = "start, answer with one token, exit"
    long = f"start, prompt of {tokens} tokens, answer with {LONG_TOKENS}, exit"
    return [
        Row(short, "s", own, usual, "llama-completion", SHORT_TARGET),
        Row(short, "s", own, leanest, "llama-completion --no-warmup"),
        Row(long, "s", own_long, peer_long, "llama-completion", LONG_TARGET),
    ]


def check_same_prompt(lab: Lab, ours: Command, peer: Command) -> int:
    """Return the tokens of the prompt; raise BenchmarkError unless both sides saw as many."""
    own = int(lab.reported(ours)["prompt_tokens"])
    said = run(peer).err
    match = re.search(r"prompt eval time =.*?/\s*(\d+) tokens", said)
    theirs = int(match[1]) if match else None
    if own != theirs:
        raise BenchmarkError(f"the prompts differ: ours has {own} tokens, the peer's {theirs}")
    return own
