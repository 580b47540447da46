"""File descriptor output: complete writes, and early write-back to disk."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

SYNC_FILE_RANGE_WRITE = 2
"""Flag of sync_file_range(2): start writing, do not wait."""


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data` to the file descriptor `fd`, repeating short writes."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def start_writing(fd: int, offset: int, length: int) -> None:
    """Start write-back of a byte range of `fd`, so that a later fsync has little left to do.

    Guarantees nothing; does nothing where sync_file_range(2) is missing.
    """
    _sync_file_range()(fd, offset, length, SYNC_FILE_RANGE_WRITE)


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], object]:
    import ctypes

    try:
        function = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError):
        return lambda *_: None
    function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    found: Callable[[int, int, int, int], object] = function
    return found
