"""Files on disk: opened only where they are such, and written while more is still being made."""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections.abc import Callable

WRITE = 2
"""SYNC_FILE_RANGE_WRITE of sync_file_range(2): start writing, wait for nothing."""


def open_file(path: str | os.PathLike[str]) -> int:
    """Open a file, a folder or a block device to be read; raise OSError for anything else.

    A pipe or a terminal would make us wait, and has no end to look for a footer at.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "it is no file", os.fspath(path))


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
