"""A C `FILE*` whose bytes come from a function, by glibc's and musl's fopencookie(3)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from runtime.weights.byte_planes import Buffer

FULLY_BUFFERED = 0  # _IOFBF of <stdio.h>
BUFFER = 1 << 20
"""Bytes of a read, which stdio has in its buffer before it hands them on."""
NO_FILE = -2
"""The number of the file that glibc gives a stream which has none."""

_READ = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_SEEK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int64), ctypes.c_int
)


class _Functions(ctypes.Structure):
    """`cookie_io_functions_t` of <stdio.h>."""

    _fields_ = (
        ("read", _READ),
        ("write", ctypes.c_void_p),
        ("seek", _SEEK),
        ("close", ctypes.c_void_p),
    )


class _Beginning(ctypes.Structure):
    """The beginning of glibc's `struct _IO_FILE`, from <bits/types/struct_FILE.h>."""

    _fields_ = (("flags", ctypes.c_int), ("places", ctypes.c_void_p * 13), ("file", ctypes.c_int))


class CookieStream:
    """A `FILE*` on the bytes up to `end`, at `position`."""

    def __init__(self, read: Callable[[int, int], int], end: int, position: int = 0) -> None:
        """Open it; raise OSError when that fails.

        `read(address, size)` puts up to `size` bytes from `self.position` on to an address, and
        returns how many, or a negative number where that fails. It must not raise anything.
        """
        self.position = position
        self._end = end
        self._read_bytes = read
        # Kept, since the file calls them as long as it is open.
        self._functions = _Functions(read=_READ(self._read), seek=_SEEK(self._seek))
        self._libc = _libc()
        self.pointer: int = self._libc.fopencookie(None, b"rb", self._functions)
        if not self.pointer:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        self._stdio = Buffer(BUFFER)  # given, since stdio's own is of one page
        self._libc.setvbuf(self.pointer, self._stdio.address, FULLY_BUFFERED, BUFFER)

    def stand_for(self, fd: int) -> bool:
        """Have fileno(3) say `fd`, so that others map that file; return whether it does."""
        stream = _Beginning.from_address(self.pointer)
        if stream.file != NO_FILE:
            return False
        stream.file = fd
        return bool(self._libc.fileno(self.pointer) == fd)

    def close(self) -> None:
        self._libc.fclose(self.pointer)
        # These know the stream, which knows them: it would stay until garbage is collected.
        del self._functions, self._read_bytes

    def _seek(self, cookie: object, offset: ctypes._Pointer[ctypes.c_int64], whence: int) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self._end}
        position = base[whence] + offset[0]
        if position < 0:
            return -1
        self.position = offset[0] = position
        return 0

    def _read(self, cookie: object, buffer: int, size: int) -> int:
        count = self._read_bytes(buffer, max(0, min(size, self._end - self.position)))
        self.position += max(0, count)
        return count


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fopencookie.restype = ctypes.c_void_p
    libc.fopencookie.argtypes = (ctypes.c_void_p, ctypes.c_char_p, _Functions)
    libc.setvbuf.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    libc.fclose.argtypes = libc.fileno.argtypes = (ctypes.c_void_p,)
    return libc
