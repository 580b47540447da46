"""A server under attack: it must stay prompt, and small."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server_client import get
from servers import Served

LATE = 1.0
"""Seconds after which /health is too late."""


@contextmanager
def health_is_prompt(server: Served, *, megabytes: float = float("inf")) -> Iterator[None]:
    """Ask for /health all the while; the server's processes must hold less than `megabytes`."""
    latest, largest, stop = [0.0], [0.0], threading.Event()

    def ask() -> None:
        while not stop.wait(0.05):
            begun = time.monotonic()
            get(server, "/health")
            latest[0] = max(latest[0], time.monotonic() - begun)
            largest[0] = max(largest[0], megabytes_of(server))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert latest[0] < LATE, f"/health took {latest[0]:.1f} s"
    assert largest[0] < megabytes, f"it held {largest[0]:.0f} MB"


def megabytes_of(server: Served) -> float:
    """Return what the server holds in memory of its own, with the launcher that started it."""
    parents = [server.process.pid]
    total = 0.0
    for pid in parents:
        status = Path(f"/proc/{pid}/status").read_text()
        total += sum(int(size) for size in re.findall(r"RssAnon:\s+(\d+) kB", status)) / 1000
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            parents += map(int, children.read_text().split())
    return total
