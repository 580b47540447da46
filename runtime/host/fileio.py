"""File descriptor output: complete writes, and early write-back to disk."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

SYNC_FILE_RANGE_WRITE = 2
"""Flag of sync_file_range(2): start writing, do not wait."""
KEEP_SIZE = 1
"""FALLOC_FL_KEEP_SIZE of fallocate(2)."""


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data` to the file descriptor `fd`, repeating short writes."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def reserve(fd: int, offset: int, length: int) -> None:
    """Have blocks allotted to a byte range of `fd` at once, which is faster than bit by bit.

    Guarantees nothing; does nothing where fallocate(2) is missing, or the file system has none.
    """
    if length > 0:
        _call("fallocate", fd, KEEP_SIZE, offset, length)


def start_writing(fd: int, offset: int, length: int) -> None:
    """Start write-back of a byte range of `fd`, so that a later fsync has little left to do.

    Guarantees nothing; does nothing where sync_file_range(2) is missing.
    """
    _call("sync_file_range", fd, offset, length, SYNC_FILE_RANGE_WRITE)


def _call(name: str, *arguments: int) -> None:
    """Call a function of the C library; do nothing where there is none of that name."""
    import ctypes  # programs that only read need it later, or never

    if found := _function(name):
        found(*map(ctypes.c_int64, arguments))  # in registers, whatever their width


@functools.cache
def _function(name: str) -> Callable[..., object] | None:
    import ctypes

    try:
        found: Callable[..., object] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # Windows has no library of all
        return None
    return found
