"""Measure the promises: `python -m benchmarks.run [NAME…]`; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks import cache, machine, report
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError
from benchmarks.rows import ROWS, summary


def main() -> int:
    """Run the rows; return 0 when all were measured and met their targets.

    Whatever one of them fails of, the others are measured, and shown with it.
    """
    options = parse()
    if options.list:
        for name in ROWS:
            print(f"{name:12} {summary(name)}")
        return 0
    base = options.work or cache.folder("work")
    facts = machine.describe(base)
    for key, value in facts.items():
        print(f"- {key}: {value}")
    if options.small:
        print("- SMALL MODELS: this run proves that the scripts work, its figures mean nothing")
    print(flush=True)
    rows: list[report.Row] = []
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=base) as work:
        lab = Lab(
            Path(work),
            rounds=options.repeat,
            threads=options.threads,
            small=options.small,
            stub=options.stub,
            repack=not options.no_repack,
        )
        for name in options.names or ROWS:
            print(f"measuring {name} …", file=sys.stderr)
            try:
                rows += ROWS[name](lab)
            except BenchmarkError as exc:
                failures[name] = str(exc)
            except Exception as exc:
                traceback.print_exc()
                failures[name] = f"{type(exc).__name__}: {exc}"
    print(report.table(rows, failures))
    if options.json:
        document = {"machine": facts, "rows": report.document(rows), "failures": failures}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 1 if failures or any(row.passed is False for row in rows) else 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"what to measure (default: {', '.join(ROWS)})")
    add("--list", action="store_true", help="say what each NAME measures, and exit")
    add("--json", type=Path, metavar="FILE", help="write every single figure to FILE")
    add("--repeat", type=int, metavar="N", help="rounds of each comparison (default: by row)")
    add("--threads", type=int, metavar="N", help="threads on both sides (default: all cores)")
    add("--stub", type=Path, metavar="FILE", help="measure this stub (default: a new one)")
    add("--no-repack", action="store_true", help="`pictures` with -nr on both sides, for CPUs on "
        "which the peer dies of its repacked weights")  # fmt: skip
    add("--work", type=Path, metavar="DIR", help="folder for the bundles (default: the cache)")
    add("--small", action="store_true", help="use tiny models, to see whether the scripts work")
    options = parser.parse_args()
    if unknown := set(options.names) - set(ROWS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
