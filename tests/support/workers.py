"""Several processes that run tests at once: what is costly is made by one, for all.

pytest-xdist starts them. Where it does not, there is one, and all this costs nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def take_own_cores() -> None:
    """Bind this worker, and so every program it starts, to its share of the cores.

    The engine takes all cores it may use, and its threads wait for each other by spinning: two
    engines on the same cores take longer than one after the other.
    """
    if not (name := os.environ.get("PYTEST_XDIST_WORKER")):
        return
    count = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    cores = sorted(os.sched_getaffinity(0))
    share = cores[int(name.removeprefix("gw")) % len(cores) :: count]
    os.sched_setaffinity(0, share)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder of this run in which `make` has been called, by whichever worker came first.

    The others wait for it; where it fails, the next one tries again.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # that of the run; each worker has its own within
    folder, done = base / name, base / f"{name}.made"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder
