"""Memory-mapped file ranges: read-only views of the page cache, without a copy."""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import weakref

MAP_PRIVATE = 2
"""Flag of mmap(2), supported by every file system that can hold an executable."""
MADV_POPULATE_READ = 22
"""Advice of madvise(2), Linux 5.14: read errors are returned here, instead of SIGBUS on access."""
MAP_FAILED = ctypes.c_void_p(-1).value


class MappedRange:
    """A read-only mapping of a range of an open file.

    The mapping lives as long as this object or any memoryview that `fetch` returned. The file
    descriptor stays the caller's and must stay open while `fetch` is called.
    """

    def __init__(self, fd: int, offset: int, length: int) -> None:
        """Map `length` bytes at `offset`; raise OSError if that fails."""
        self._fd, self._offset = fd, offset
        begin = offset // mmap.PAGESIZE * mmap.PAGESIZE
        size = offset + length - begin
        libc = _libc()
        self._address = 0
        memory: ctypes.Array[ctypes.c_char] = (ctypes.c_char * 0)()  # mmap rejects a length of 0
        if length:
            self._address = libc.mmap(None, size, mmap.PROT_READ, MAP_PRIVATE, fd, begin)
            if self._address == MAP_FAILED:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            memory = (ctypes.c_char * size).from_address(self._address)
            # Not at exit: threads may still be reading, and the kernel unmaps everything anyway.
            weakref.finalize(memory, libc.munmap, self._address, size).atexit = False
        self._view = memoryview(memory).cast("B").toreadonly()
        self._skipped = offset - begin

    def fetch(self, offset: int, length: int) -> tuple[int, memoryview]:
        """Return the address and a read-only view of `length` bytes at `offset` in the range.

        The pages are resident on return. Safe to call from any thread. Raise EOFError if the file
        ends before, OSError if it cannot be read.
        """
        if os.fstat(self._fd).st_size < self._offset + offset + length:
            raise EOFError
        begin = self._skipped + offset
        _populate(self._address + begin, length)
        return self._address + begin, self._view[begin : begin + length]


def _populate(address: int, length: int) -> None:
    """Fault in the pages of a memory range; raise OSError if they cannot be read."""
    begin = address // mmap.PAGESIZE * mmap.PAGESIZE
    if _libc().madvise(begin, address + length - begin, MADV_POPULATE_READ):
        error = ctypes.get_errno()
        if error != errno.EINVAL:  # before Linux 5.14: pages are read on first access
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
