"""Write to open files: all of it, and to the disk while more is still being made."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

WRITE = 2
"""SYNC_FILE_RANGE_WRITE of sync_file_range(2): start writing, wait for nothing."""


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write `data` to the file `fd`, in as many steps as the system makes of it."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def start_writing(fd: int, offset: int, length: int) -> None:
    """Let the range of the file `fd` go to disk now: a later fsync then has little left to do.

    It promises nothing, and where the system has no such call it does nothing.
    """
    _sync_file_range()(fd, offset, length, WRITE)


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
