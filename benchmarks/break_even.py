"""Find from which length of prompt on repacking the weights pays, by type of weights and threads.

    python -m benchmarks.break_even                     all MODELS, one thread and all cores
    python -m benchmarks.break_even 1.1b-q4_k_m --threads 2

The figure in runtime/model/repacking.py comes from it. Each model is bundled, stored, and answers
prompts of several lengths with and without repacking, in turn. The time that counts is up to the
first token, of the medians, without what both sides do alike; where the lines cross, it is even.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from benchmarks import cache, machine, models
from benchmarks.lab import Lab
from benchmarks.measure import interleave

MODELS = ("1.1b-q4_k_m", "250m-q4_k", "250m-q4_0", "250m-q8_0")
WORDS = (7, 31, 63, 127, 255, 511)
"""One token each; with the one that begins every text: powers of two."""
TOKENS = 33
SIDES = ("--repack", "--no-repack")


@dataclass(frozen=True)
class Cost:
    """Seconds of loading, of the prompt, of one more token."""

    load: float
    prompt: float
    token: float


def measure(lab: Lab, bundle: Path, words: int, flag: str) -> Cost:
    """Return what one run costs."""
    command = lab.generate(bundle, models.prompt(words), TOKENS, "-c", "1024", flag)
    found = lab.reported(command)
    per_token = found["generate_s"] / (found["generated_tokens"] - 1)
    return Cost(found["load_s"], found["prompt_s"], per_token)


def middle(costs: Sequence[Cost]) -> Cost:
    """Return the medians."""
    return Cost(*(statistics.median(part) for part in zip(*map(astuple, costs), strict=True)))


def compare(lab: Lab, bundle: Path, words: int, rounds: int) -> tuple[Cost, Cost]:
    """Return the cost with and without repacking, measured in turn; the first round only warms."""
    figures: tuple[list[Cost], list[Cost]] = ([], [])

    def once(side: int) -> float:
        figures[side].append(measure(lab, bundle, words, SIDES[side]))
        return 0.0

    interleave(rounds, lambda: once(0), lambda: once(1))
    return middle(figures[0][1:]), middle(figures[1][1:])


def lengths(lab: Lab, bundle: Path, rounds: int) -> tuple[list[tuple[int, float]], float]:
    """Print the costs at each length; return (tokens, seconds lost by repacking), generation's.

    The last is the ratio of the time of a generated token, repacked to not.
    """
    lost: list[tuple[int, float]] = []
    ratios: list[float] = []
    for words in WORDS:
        new, old = compare(lab, bundle, words, rounds)
        lost.append((words + 1, new.load + new.prompt - old.load - old.prompt))
        ratios.append(new.token / old.token)
        print(
            f"  {words + 1:4} tokens: load {old.load:.3f} -> {new.load:.3f} s, "
            f"prompt {old.prompt:.3f} -> {new.prompt:.3f} s, "
            f"a token {old.token * 1000:.1f} -> {new.token * 1000:.1f} ms, "
            f"all {lost[-1][1]:+.3f} s",
            flush=True,
        )
    return lost, statistics.median(ratios)


def crossing(lost: Sequence[tuple[int, float]]) -> float | None:
    """Return the tokens from which on nothing is lost any more, None where that is never so."""
    for (shorter, above), (longer, below) in itertools.pairwise(lost):
        if above > 0 >= below:
            return shorter + (longer - shorter) * above / (above - below)
    return 0.0 if lost[0][1] <= 0 else None


def main() -> None:
    """Print where repacking begins to pay."""
    parser = argparse.ArgumentParser(prog="benchmarks.break_even", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="MODEL", help=f"what to measure (default: {MODELS})")
    add("--stub", type=Path, metavar="FILE", help="measure this stub (default: a new one)")
    add("--threads", type=int, nargs="*", metavar="N", help="(default: one, and all cores)")
    add("--compress", default="none", metavar="HOW", help="as `bundle` takes it (default: none)")
    add("--repeat", type=int, default=5, metavar="N", help="runs of each (default: 5)")
    options = parser.parse_args()
    print(f"CPU: {machine.cpu_name()}", flush=True)
    with tempfile.TemporaryDirectory(dir=cache.folder("work")) as name:
        for threads in options.threads or sorted({1, Lab(Path(name)).threads}):
            lab = Lab(Path(name), threads=threads, stub=options.stub)
            for model in options.names or MODELS:
                print(f"{model}, threads: {threads}", flush=True)
                bundle = lab.bundle(lab.model(model), "--compress", options.compress, "--force")
                lost, generation = lengths(lab, bundle, options.repeat)
                even = crossing(lost)
                where = "never, up to here" if even is None else f"from {even:.0f} tokens"
                print(f"  pays {where}; a generated token takes {generation:.3f} of before")


if __name__ == "__main__":
    main()
