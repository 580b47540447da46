"""RPC: tokens per second with all layers on one or two workers of this machine, against none."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError, interleave
from benchmarks.report import Row

TOKENS = 64
LEAST = 0.8
"""Of the speed of one process, with one worker."""


def measure(lab: Lab) -> list[Row]:
    """Compare a head and its workers with one process that computes all by itself."""
    program = lab.bundle(lab.model("1.1b-q4_k_m"), "--compress", "none")
    with worker(program, lab.threads) as one, two_workers(program) as two:
        alone, with_one, with_two = interleave(
            lab.rounds(5),
            generation(lab, program),
            generation(lab, program, "--rpc", one),
            generation(lab, program, "--rpc", two),
        )
    return [
        Row("generation, one worker", "tokens/s", with_one, alone, "one process", LEAST,
            at_least=True),
        Row("generation, two workers of one core", "tokens/s", with_two, alone, "one process"),
    ]  # fmt: skip


def generation(lab: Lab, program: Path, *options: str) -> Callable[[], float]:
    """Return a function that generates once, and returns the tokens/s."""
    command = lab.generate(program, models.prompt(1), TOKENS, *options)

    def generate() -> float:
        report = lab.reported(command)
        return (int(report["generated_tokens"]) - 1) / float(report["generate_s"])

    return generate


@contextlib.contextmanager
def two_workers(program: Path) -> Iterator[str]:
    """Run two workers of one thread; give what --rpc has to say."""
    with worker(program, 1) as first, worker(program, 1) as second:
        yield f"{first},{second}"


@contextlib.contextmanager
def worker(program: Path, threads: int) -> Iterator[str]:
    """Run a worker at any free port; give its address."""
    command = [str(program), "worker", "--port", "0", "-t", str(threads)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stderr is not None
        found = re.search(r"listening on (\S+)", process.stderr.readline())
        try:
            if not found:
                raise BenchmarkError("the worker did not start")
            yield found[1]
        finally:
            process.terminate()
