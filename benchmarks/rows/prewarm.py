"""Prewarm: a long system prompt computed with the file must not be computed at every start."""

from __future__ import annotations

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError, Command, interleave, run
from benchmarks.report import Row

SYSTEM_WORDS, WORDS = 2000, 8
SMALL_WORDS = 900  # what the context of the small stand-in takes
FIRST_TOKEN = 1 / 20


def measure(lab: Lab) -> list[Row]:
    """Compare a bundle with itself, prewarmed and not: up to the first token, and as a whole."""
    model = lab.model("1.1b-q4_k_m")
    count = SMALL_WORDS if lab.small else SYSTEM_WORDS
    text = lab.work / "system.txt"
    text.write_text(models.prompt(count), encoding="utf-8")
    system = ("--compress", "none", "--system", f"@{text}")
    question, context = "\n" + models.prompt(WORDS), ("-c", "2048")
    warm = lab.generate(lab.bundle(model, *system, "--prewarm"), question, 1, *context)
    cold = lab.generate(lab.bundle(model, *system), question, 1, *context)
    report = lab.reported(warm)
    if report["prewarmed_tokens"] < count:
        raise BenchmarkError(f"only {report['prewarmed_tokens']} tokens were prewarmed")

    def first_token(command: Command) -> float:
        # Restoring counts, though it is done before the question comes; loading is in neither.
        found = lab.reported(command)
        return float(found["prewarm_s"] + found["prompt_s"])

    rounds = lab.rounds(5)
    own, peer = interleave(rounds, lambda: first_token(warm), lambda: first_token(cold))
    whole, whole_cold = interleave(rounds, lambda: run(warm).seconds, lambda: run(cold).seconds)
    note = f"{report['prewarmed_tokens']} of {report['prompt_tokens']} tokens prewarmed"
    what = "start, read the prompt, one token, exit"
    return [
        Row("restore, then up to the first token", "s", own, peer, "cold", FIRST_TOKEN, note=note),
        Row(what, "s", whole, whole_cold, "cold"),
    ]
