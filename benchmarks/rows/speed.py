"""Speed: tokens per second, of a prompt and of an answer, against `llama-bench`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.measure import interleave, run
from benchmarks.report import Row

WORDS = 127  # and the token that begins every text: 128
TOKENS = 64


def measure(lab: Lab) -> list[Row]:
    """Compare a bundle's own figures with those of `llama-bench` for the same work."""
    model = lab.model("1.1b-q4_k_m")
    bundle = lab.bundle(model, "--compress", "none")
    reading = lab.generate(bundle, models.prompt(WORDS), 1)
    writing = lab.generate(bundle, models.prompt(1), TOKENS)
    tokens = int(lab.reported(reading)["prompt_tokens"])

    def prompt() -> float:
        report = lab.reported(reading)
        return int(report["prompt_tokens"]) / float(report["prompt_s"])

    def answer() -> float:
        report = lab.reported(writing)
        # The first token comes out of the prompt: the time is that of all the others.
        return (int(report["generated_tokens"]) - 1) / float(report["generate_s"])

    rounds = lab.rounds(7)
    wrote, peer_wrote = interleave(rounds, answer, bench(lab, model, "-n", TOKENS - 1))
    read, peer_read, cold = interleave(
        rounds,
        prompt,
        bench(lab, model, "-p", tokens),
        bench(lab, model, "-p", tokens, "--no-warmup"),
    )
    what = f"prompt of {tokens}"
    return [
        Row("generation", "tokens/s", wrote, peer_wrote, "llama-bench", 0.98, at_least=True),
        Row(what, "tokens/s", read, peer_read, "llama-bench", 0.95, at_least=True),
        Row(what, "tokens/s", read, cold, "llama-bench --no-warmup"),
    ]


def bench(lab: Lab, model: Path, test: str, tokens: int, *options: str) -> Callable[[], float]:
    """Return a function that runs one test of `llama-bench` and returns its tokens/s."""
    sizes = {"-p": 0, "-n": 0, test: tokens}
    command = [lab.peers.bench, "-m", model, "-t", lab.threads, "-r", 1, "-o", "json", *options]
    command += [word for pair in sizes.items() for word in pair]
    words = [str(word) for word in command]
    return lambda: float(json.loads(run(words).out)[0]["avg_ts"])
