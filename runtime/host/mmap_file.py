"""Read a file where the system holds it already: mapped into memory, without a copy."""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import weakref

PRIVATE = 2
"""MAP_PRIVATE of mmap(2): every file system that can run a program has it."""
POPULATE_READ = 22
"""MADV_POPULATE_READ of madvise(2), Linux 5.14: fail here and now instead of by SIGBUS later."""
FAILED = ctypes.c_void_p(-1).value


class MappedRange:
    """A range of an open file. What it gave lives on for as long as somebody holds it."""

    def __init__(self, fd: int, offset: int, length: int) -> None:
        """Map `length` bytes at `offset`; raise OSError where that cannot be done."""
        self._fd, self._offset = fd, offset
        begin = offset // mmap.PAGESIZE * mmap.PAGESIZE
        size = offset + length - begin
        libc = _libc()
        self._address = 0
        memory: ctypes.Array[ctypes.c_char] = (ctypes.c_char * 0)()  # of no bytes, no map
        if length:
            self._address = libc.mmap(None, size, mmap.PROT_READ, PRIVATE, fd, begin)
            if self._address == FAILED:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            memory = (ctypes.c_char * size).from_address(self._address)
            # Not at exit: threads may be reading then, and the system unmaps everything anyway.
            weakref.finalize(memory, libc.munmap, self._address, size).atexit = False
        self._view = memoryview(memory).cast("B").toreadonly()
        self._skipped = offset - begin

    def fetch(self, offset: int, length: int) -> tuple[int, memoryview]:
        """Return address and content of `length` bytes at `offset` of the range.

        Any thread may call this. Raise EOFError where the file ends before, OSError where it cannot
        be read.
        """
        if os.fstat(self._fd).st_size < self._offset + offset + length:
            raise EOFError
        begin = self._skipped + offset
        _populate(self._address + begin, length)
        return self._address + begin, self._view[begin : begin + length]


def _populate(address: int, length: int) -> None:
    """Have the pages there; raise OSError where they cannot be read."""
    begin = address // mmap.PAGESIZE * mmap.PAGESIZE
    if _libc().madvise(begin, address + length - begin, POPULATE_READ):
        found = ctypes.get_errno()
        if found != errno.EINVAL:  # an older kernel: they come when they are touched
            raise OSError(errno.EIO, os.strerror(errno.EIO))


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64,
    )  # fmt: skip
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return libc
