"""A server that sleeps: a model large enough to see it, and what the server holds in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ggufs import Shape, write_model
from server_client import get, post, until
from servers import Served

SHAPE = Shape(embedding=1024, feed_forward=4096, layers=6, heads=8, kv_heads=8, context=4096)
SECONDS = "1"
"""Of idleness, after which it sleeps."""
FLAGS = ("-t", "1", "-np", "2", "-c", "4096", "--sleep-idle-seconds", SECONDS, "--temp", "0")
PROMPT = "abc abd abe abf"


def write_large_model(path: Path) -> Path:
    """Write a model with random weights, of which the engine repacks all; return `path`."""
    return write_model(path, weight_type="Q4_0", shape=SHAPE)


def answer(server: Served, prompt: str = PROMPT, **more: Any) -> str:
    """Return what the model goes on with."""
    body = {"prompt": prompt, "n_predict": 6, "ignore_eos": True, **more}
    return str(post(server, "/completion", body)["content"])


def is_sleeping(server: Served) -> bool:
    """Return whether it says so."""
    return bool(get(server, "/props")["is_sleeping"])


def wait_until_asleep(server: Served) -> None:
    until(lambda: is_sleeping(server), 30)


def processes_of(server: Served) -> Iterator[int]:
    """Yield the server's processes, from the launcher on."""
    parents = [server.process.pid]
    for pid in parents:
        yield pid
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            parents += map(int, children.read_text().split())


def megabytes_held(server: Served) -> float:
    """Return what all its processes hold in memory together, each page counted once."""
    total = 0
    for pid in processes_of(server):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += sum(int(size) for size in re.findall(r"^Pss:\s+(\d+) kB", text, re.M))
    return total / 1000


def megabytes_of_memory_files() -> float:
    """Return how much memory files in memory (memfd, tmpfs) take on this machine."""
    found = re.search(r"^Shmem:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    assert found
    return int(found[1]) / 1000
