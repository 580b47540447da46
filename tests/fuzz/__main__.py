"""Fuzz everything that reads untrusted input, for a given time.

    python -m fuzz [SECONDS] [--seed N] [TARGET …]      (in tests/; or `make fuzz SECONDS=600`)

Findings are kept in tests/fuzz/corpus, and every test run tries them again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time

from fuzz.child import Child
from fuzz.corpus import keep, search
from fuzz.targets import TARGETS

DEFAULT_SECONDS = 60


def main() -> int:
    """Fuzz; return 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="fuzz")
    parser.add_argument("seconds", nargs="?", type=float, default=DEFAULT_SECONDS)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    names = asked.targets or list(TARGETS)
    found = 0
    child = Child()
    for name in names:
        child.attempt(name, TARGETS[name], TARGETS[name].seeds()[0])  # starting is no fuzzing
        end = time.monotonic() + asked.seconds / len(names)
        tried = batch = 0
        while time.monotonic() < end:
            count, failure = search(name, TARGETS[name], child, seed=asked.seed + batch, end=end)
            tried, batch = tried + count, batch + 1
            if failure:
                data, error = failure
                print(f"{name}: {error}\n  kept as {keep(name, data)}")
                found += 1
                break
        seconds, size = child.most.get(name, (0, 0))
        print(f"{name}: {tried} inputs, up to {seconds:.1f} s and {size:.0f} MB", flush=True)
    child.close()
    return 1 if found else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as data:
        os.environ["XDG_DATA_HOME"] = data  # nothing is kept for the user
        sys.exit(main())
