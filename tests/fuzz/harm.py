"""Targets that do what none may, to see that it is noticed."""

from __future__ import annotations

import ctypes
import os
import time

from fuzz.target import Target
from runtime.errors import AppError


def harm(data: bytes) -> None:
    """Do as it is told."""
    if data == b"crash":
        ctypes.string_at(0)
    elif data == b"exit":
        os._exit(3)
    elif data == b"hang":
        time.sleep(600)
    elif data == b"burn":
        end = time.process_time() + 1
        while time.process_time() < end:
            pass
    elif data == b"grow":
        bytearray(100 << 20)
    elif data == b"raise":
        raise ValueError("wrong")
    elif data == b"refuse":
        raise AppError("this is refused")


def pick(data: bytes) -> None:
    """Take nothing but zeros."""
    assert not any(data)


TARGETS = {
    "harm": Target(harm, lambda: [b"nothing"], seconds=0.2, megabytes=50),
    "pick": Target(pick, lambda: [bytes(200)]),
}
