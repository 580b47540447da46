"""The produced binary in the background: it runs while a test does, and is ended behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from program import Program

SECONDS = 60


@dataclass
class Background:
    """A process of a program, which leads its own group."""

    process: subprocess.Popen[str]
    begun: str
    """What it said on its stderr until it was ready."""
    said: deque[str]
    """The last lines there, also those that come later."""


@contextmanager
def background(program: Program, *arguments: str, ready: str, kept: int) -> Iterator[Background]:
    """Give a process that has said a line in which `ready`, a pattern, is found, or has ended.

    So many of the last lines that it says are `kept`.
    """
    with subprocess.Popen(
        [str(program.path), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **program.environment},
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        said: deque[str] = deque(maxlen=kept)
        for line in process.stderr:
            said.append(line)
            if re.search(ready, line):
                break
        begun = "".join(said)
        reader = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
        reader.start()
        try:
            yield Background(process, begun, said)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
            reader.join()
