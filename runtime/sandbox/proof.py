"""Proof of the sandbox from inside: a child process enters it, and tries what must fail."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence

from runtime.sandbox import restriction
from runtime.sandbox.restriction import Held, Policy

ATTEMPTS: Mapping[str, Callable[[], object]] = {
    "read files": lambda: os.listdir("/"),
    "write files": lambda: tempfile.mkstemp(),
    "reach the network": lambda: socket.socket(),
    "start processes": lambda: os.fork() or os._exit(0),
    "signal other processes": lambda: os.kill(os.getppid(), 0),
}
"""What must fail in the sandbox of a chat."""


def prove() -> tuple[Held, Sequence[str]]:
    """Enter the sandbox in a child process, and try; return what holds, and what is possible still.

    Forks, so it must run before any thread is started.
    """
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            held = restriction.enter(Policy())
            possible = [what for what, attempt in ATTEMPTS.items() if _succeeds(attempt)]
            os.write(sending, json.dumps([dataclasses.astuple(held), possible]).encode())
        os._exit(0)
    os.close(sending)
    with open(receiving, "rb") as reading:
        said = reading.read()
    os.waitpid(child, 0)
    if not said:
        return Held(obstacles=("the process that tried it failed",)), [*ATTEMPTS]
    (files, calls, obstacles), possible = json.loads(said)
    return Held(files, calls, tuple(obstacles)), possible


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True
