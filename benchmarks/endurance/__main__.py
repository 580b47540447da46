"""Load a server for minutes: `python -m benchmarks.endurance`; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import cache, machine, report
from benchmarks.endurance import trial
from benchmarks.endurance.trial import Plan
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError
from benchmarks.rows.serve import DEMO


def main() -> int:
    """Run one trial; return 0 when all targets are met."""
    options = parse()
    base = options.work or cache.folder("work")
    facts = machine.describe(base) | {"instructions": machine.instructions()}
    for key, value in facts.items():
        print(f"- {key}: {value}")
    print(flush=True)
    cores = len(os.sched_getaffinity(0))
    plan = Plan(
        seconds=60 * options.minutes,
        workers=options.workers,
        threads=options.threads or max(1, cores // 2 // options.workers),
        friends=options.clients,
        foes=options.hostile,
        seed=options.seed,
    )
    with tempfile.TemporaryDirectory(dir=base) as work:
        lab = Lab(Path(work), stub=options.stub)
        try:
            found = trial.run(plan, lab.bundle(DEMO, "--compress", "none"), _say)
        except BenchmarkError as exc:
            print(report.table([], {"endurance": str(exc)}))
            return 1
    trial.shown(found)
    rows = found.rows()
    print(report.table(rows))
    if options.json:
        document = {"machine": facts, "rows": report.document(rows), **found.details()}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 1 if any(row.passed is False for row in rows) else 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, metavar="N", help="how long (default: 10)")
    add("--workers", type=int, default=1, metavar="N", help="--workers of the server (default: 1)")
    add(
        "--threads",
        type=int,
        metavar="N",
        help="threads of each worker (default: half of the cores, divided by the workers)",
    )
    add("--clients", type=int, default=12, metavar="N", help="clients at once (default: 12)")
    add("--hostile", type=int, default=3, metavar="N", help="hostile ones beside (default: 3)")
    add("--seed", type=int, default=1, metavar="N", help="of what they choose (default: 1)")
    add("--json", type=Path, metavar="FILE", help="write every single figure to FILE")
    add("--stub", type=Path, metavar="FILE", help="measure this stub (default: a new one)")
    add("--work", type=Path, metavar="DIR", help="folder for the bundle (default: the cache)")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
