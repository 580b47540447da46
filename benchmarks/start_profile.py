"""Tell what a start spends its time on: each step, of the medians of several runs.

    python -m benchmarks.start_profile                        one token, 1.1B Q4_K_M, stored
    python -m benchmarks.start_profile -- --no-repack         any flags of the program after --
    python -m benchmarks.start_profile --model FILE --words 500 --tokens 50

The program itself says how long its steps took (`--report`); what comes before its own code is the
launcher's, and what comes after the first token is seen from outside.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks import cache, models
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError, Command, run

STEPS: Mapping[str, str] = {
    "launcher": "first stage, Python's own start",
    "opening_s": "imports, options, manifest",
    "engine_s": "engine's libraries",
    "restore_s": "decompression",
    "load_s": "weights, with repacking",
    "context_s": "KV cache and buffers",
    "prewarm_s": "prewarmed state",
    "asking": "sandbox, template, tokens",
    "prompt_s": "reading the prompt",
    "rest": "further tokens, and the end",
}
"""The steps in their order, by the report's names or our own."""
WITHIN_FIRST = tuple(name for name in STEPS if name.endswith("_s"))


def profile(command: Command, folder: Path) -> dict[str, float]:
    """Run `command` of Lab.generate once; return the seconds of each of STEPS, and of all."""
    report = folder / f"report-{time.monotonic_ns()}.json"
    begin = time.perf_counter()
    with subprocess.Popen(
        [*command, "--report", report],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)  # the first token's, which is written at once
        first = time.perf_counter() - begin
        _, err = process.communicate()
    whole = time.perf_counter() - begin
    if process.returncode:
        raise BenchmarkError(f"`{command[0]}` ended with {process.returncode}: {err.decode()}")
    said = json.loads(report.read_text(encoding="utf-8"))
    report.unlink()
    found = {name: float(said[name]) for name in WITHIN_FIRST}
    found["launcher"] = first - said["first_token_s"]
    found["asking"] = said["first_token_s"] - sum(said[name] for name in WITHIN_FIRST)
    found["rest"] = whole - first
    return {**found, "all": whole}


def medians(command: Command, folder: Path, rounds: int) -> dict[str, float]:
    """Return the medians of `rounds` profiles, after one that warms the page cache."""
    profile(command, folder)
    runs = [profile(command, folder) for _ in range(rounds)]
    return {name: statistics.median(one[name] for one in runs) for name in runs[0]}


def table(found: Mapping[str, float], bare: float) -> str:
    """Return a profile as lines for people; `bare` is the time without --report."""
    lines = [f"{found[name] * 1000:8.1f} ms  {what}" for name, what in STEPS.items()]
    lines += [f"{found['all'] * 1000:8.1f} ms  all of it"]
    return "\n".join([*lines, f"{bare * 1000:8.1f} ms  all of it without --report"])


def main() -> None:
    """Print the profile of one command."""
    parser = argparse.ArgumentParser(prog="benchmarks.start_profile", description=__doc__)
    add = parser.add_argument
    add("--stub", type=Path, metavar="FILE", help="measure this stub (default: a new one)")
    add("--model", type=Path, metavar="FILE", help="a GGUF (default: random 1.1B Q4_K_M)")
    add("--compress", default="none", metavar="HOW", help="as `bundle` takes it (default: none)")
    add("--words", type=int, default=8, metavar="N", help="words of the prompt (default: 8)")
    add("--tokens", type=int, default=1, metavar="N", help="tokens of the answer (default: 1)")
    add("--repeat", type=int, default=9, metavar="N", help="runs (default: 9)")
    add("flags", nargs="*", metavar="FLAG", help="more flags of the program, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=cache.folder("work")) as name:
        lab = Lab(Path(name), stub=options.stub)
        model = options.model or lab.model("1.1b-q4_k_m")
        bundle = lab.bundle(model, "--compress", options.compress)
        text = models.prompt(options.words)
        # The last -c counts: room for any prompt that is asked for.
        room = str(max(512, options.words + options.tokens + 64))
        command = lab.generate(bundle, text, options.tokens, "-c", room, *options.flags)
        found = medians(command, lab.work, options.repeat)
        bare = statistics.median(run(command).seconds for _ in range(options.repeat))
    print(table(found, bare))


if __name__ == "__main__":
    main()
