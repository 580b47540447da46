"""Servers to be measured, ours and llama.cpp's, started in the same way."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BenchmarkError, Command

START_SECONDS = 120
RUNNING: dict[int, int] = {}
"""The processes of the servers that run, by port."""


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    port: int
    process: subprocess.Popen[bytes]


@contextmanager
def served(command: Sequence[str | Path | int], *, seconds: float = START_SECONDS) -> Iterator[int]:
    """Start a server at a free port and give that; it has so many seconds."""
    with serving(command, seconds=seconds) as server:
        yield server.port


@contextmanager
def serving(
    command: Sequence[str | Path | int],
    *,
    stderr: int = subprocess.DEVNULL,
    seconds: float = START_SECONDS,
) -> Iterator[Server]:
    """Start a server at a free port and give both; it is ended behind."""
    port = free_port()
    words: Command = [str(word) for word in command] + ["--port", str(port)]
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
    ) as process:
        RUNNING[port] = process.pid
        try:
            end = time.monotonic() + seconds
            while not healthy(port):
                if process.poll() is not None or time.monotonic() > end:
                    raise BenchmarkError(f"`{' '.join(map(str, words))}` did not start")
                time.sleep(0.05)
            yield Server(port, process)
        finally:
            del RUNNING[port]
            process.terminate()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def healthy(port: int) -> bool:
    """Tell whether a server has loaded its model."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
