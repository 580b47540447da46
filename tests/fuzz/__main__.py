"""Fuzz everything that reads untrusted input, for a given time.

    python -m fuzz [SECONDS] [TARGET …]         (in tests/; or `make fuzz SECONDS=600`)

Findings are kept in tests/fuzz/corpus, and every test run tries them again.
"""

from __future__ import annotations

import sys
import time

from fuzz.corpus import keep, mutated, search
from fuzz.targets import TARGETS

DEFAULT_SECONDS = 60


def main() -> int:
    """Fuzz; return 1 if anything was found."""
    arguments = sys.argv[1:]
    seconds = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else DEFAULT_SECONDS
    names = arguments or list(TARGETS)
    found = 0
    for name in names:
        target = TARGETS[name]
        end = time.monotonic() + seconds / len(names)
        tried = 0
        while time.monotonic() < end:
            count, failure = search(target, mutated(target.seeds), end)
            tried += count
            if failure:
                data, error = failure
                print(f"{name}: {type(error).__name__}: {error}\n  kept as {keep(name, data)}")
                found += 1
                break
        print(f"{name}: {tried} inputs")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
