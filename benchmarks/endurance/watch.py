"""Watch: how soon the server says that it is well, and what its processes hold."""

from __future__ import annotations

import http.client
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import PROC, descendants

PAUSE = 0.05
"""Seconds between two questions for /health."""
KEPT = 8
"""Connections kept open and used in turn, so that each worker is asked."""
TIMEOUT = 30.0


class Watch:
    """A thread that does the same again and again; a context manager that ends it."""

    def __init__(self, act: Callable[[], object], pause: float) -> None:
        self.late: list[float] = []
        """Seconds by which the thread itself was woken too late."""
        self._act, self._pause = act, pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self.late.append(max(0.0, time.monotonic() - due))
            self._act()
            due = max(due + self._pause, time.monotonic())


class Health:
    """Asks for /health, over connections that stay open."""

    def __init__(self, port: int) -> None:
        self.asked: list[tuple[float, float]] = []
        """When, and the seconds until it was answered."""
        self.failures: list[str] = []
        self._connections = [
            http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT) for _ in range(KEPT)
        ]

    def ask(self) -> None:
        """Ask once."""
        connection = self._connections[len(self.asked) % KEPT]
        begin = time.monotonic()
        try:
            connection.request("GET", "/health")
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                self.failures.append(f"status {response.status}")
        except (OSError, http.client.HTTPException) as exc:
            connection.close()  # the next question opens it anew
            self.failures.append(f"{type(exc).__name__}: {exc}")
        self.asked.append((begin, time.monotonic() - begin))

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()


@dataclass(frozen=True)
class Sample:
    """What a process holds at a time."""

    at: float
    memory: int
    """Resident bytes."""
    files: int
    threads: int


class Footprint:
    """Samples of a process and all below it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.samples: dict[int, list[Sample]] = {}
        """By process."""
        self.latest = 0.0
        """When they were taken the last time."""

    def look(self) -> None:
        """Take a sample of every process."""
        now = time.monotonic()
        for pid in (self._pid, *descendants(self._pid)):
            if found := sample(pid, now):
                self.samples.setdefault(pid, []).append(found)
        self.latest = now

    def now(self) -> dict[int, Sample]:
        """Return the latest sample of each process that still runs."""
        self.look()
        return {pid: all_[-1] for pid, all_ in self.samples.items() if all_[-1].at == self.latest}

    def memory(self, begin: float, end: float) -> dict[int, list[int]]:
        """Return the memory of each process between two times."""
        return {
            pid: [one.memory for one in all_ if begin <= one.at <= end]
            for pid, all_ in self.samples.items()
        }


def sample(pid: int, now: float) -> Sample | None:
    """Return what a process holds; None if it has ended."""
    folder = PROC / str(pid)
    try:
        status = dict(
            line.split(":\t", 1)
            for line in (folder / "status").read_text(encoding="utf-8").splitlines()
            if ":\t" in line
        )
        files = len(list(Path(folder / "fd").iterdir()))
        memory = int(status["VmRSS"].split()[0]) * 1024
    except (OSError, KeyError):  # one that has ended has no memory
        return None
    return Sample(now, memory, files, int(status["Threads"]))


def growth(values: Sequence[float]) -> float:
    """Return by how much the median of the last tenth exceeds that of the first."""
    tenth = max(1, len(values) // 10)
    return statistics.median(values[-tenth:]) - statistics.median(values[:tenth])
