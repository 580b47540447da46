"""C `FILE*` streams (stdio) for the engine: on a range of a file, or on a compressed section.

The second kind decodes what is read while it is read, a few chunks at a time, so that no restored
copy of the whole is kept anywhere: the engine rearranges ("repacks") most quantized weights in
memory of its own, and a copy beside that would double what the program takes.
"""

from __future__ import annotations

import ctypes
import os
import threading
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeAlias

from runtime import bounds
from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.errors import ModelError
from runtime.host.progress_bar import Progress
from runtime.weights.byte_planes import Buffer
from runtime.weights.chunk_table import Chunk
from runtime.weights.cookie_stream import CookieStream
from runtime.weights.decompress import Decoder, chunk_table_of, map_section

AHEAD = 4
"""Chunks per thread that are decoded before they are read."""
BEHIND = 1
"""Chunks that are kept after they were read: small tensors share one, each is sought anew."""
OWN = 3
"""Buffers that each thread has beside: for the chunk it decodes, and its decoder's two."""


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fdopen.restype = ctypes.c_void_p
    libc.fdopen.argtypes = (ctypes.c_int, ctypes.c_char_p)
    libc.fseeko.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int)
    libc.fclose.argtypes = (ctypes.c_void_p,)
    return libc


def opened_anew(fd: int) -> int:
    """Return a descriptor of the same file with a position of its own; raise OSError if it cannot.

    A duplicate would share the position, also with the processes that have inherited it.
    """
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)


def _unopened(error: int | None) -> ModelError:
    return ModelError(f"the model cannot be opened: {os.strerror(error or 0)}")


def _own(fd: int) -> int:
    """Return a descriptor of the same file; raise ModelError when that fails."""
    try:
        return opened_anew(fd)
    except PermissionError:  # in the sandbox; whoever else reads from `fd` names the place
        return os.dup(fd)
    except OSError as exc:
        raise _unopened(exc.errno) from exc


class RangeFile:
    """A `FILE*` with a position of its own, at an offset of a file, that ends with the file."""

    def __init__(self, fd: int, offset: int, *, mappable: bool = True) -> None:
        """Open `fd` anew; raise ModelError when that fails."""
        self.mappable = mappable
        self._libc = _libc()
        copy = _own(fd)
        self.pointer: int = self._libc.fdopen(copy, b"rb")
        if not self.pointer:
            failure = _unopened(ctypes.get_errno())
            os.close(copy)
            raise failure
        if self._libc.fseeko(self.pointer, offset, os.SEEK_SET):
            failure = _unopened(ctypes.get_errno())
            self._libc.fclose(self.pointer)
            raise failure

    def abort_when(self, asked: Callable[[], bool]) -> None:
        """Do nothing: what is mapped or read by the system takes no time of ours."""

    def __enter__(self) -> RangeFile:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._libc.fclose(self.pointer)


class EndingFile:
    """A `FILE*` at an offset of a file, which ends before the file does.

    The engine maps a file from its start to its end and has all of it read ahead. Here it sees
    where the model ends, and so leaves out what lies behind: projector, documents, other models.
    It maps by the number of the file, which such a stream has not: it is put into it.
    """

    def __init__(self, fd: int, offset: int, end: int) -> None:
        """Open `fd` anew; raise ModelError when that fails."""
        self._fd = _own(fd)
        try:
            self._stream = CookieStream(self._read, end, offset)
        except OSError as exc:
            os.close(self._fd)
            raise _unopened(exc.errno) from exc
        self.pointer = self._stream.pointer
        self.mappable = self._stream.stand_for(self._fd)

    def abort_when(self, asked: Callable[[], bool]) -> None:
        """Do nothing: what is mapped or read by the system takes no time of ours."""

    def __enter__(self) -> EndingFile:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()
        os.close(self._fd)

    def _read(self, buffer: int, size: int) -> int:
        target = (ctypes.c_char * size).from_address(buffer)
        try:
            return os.preadv(self._fd, [target], self._stream.position)
        except OSError:
            return -1


class DecodingFile:
    """A `FILE*` that reads the original of a compressed section.

    A few chunks ahead of what is read are decoded by other threads meanwhile. What goes wrong
    inside a read is raised when the file is closed: exceptions cannot pass through the C code that
    reads.
    """

    mappable = False

    def __init__(
        self,
        bundle: Bundle,
        section: Section,
        *,
        threads: int,
        progress: Progress = lambda *_: None,
    ) -> None:
        self._size = section.size
        self._chunks = chunk_table_of(bundle, section)
        self._starts = [chunk.target for chunk in self._chunks]
        self._furthest = 0
        self._progress = progress
        self._failure: BaseException | None = None
        self._aborted: Callable[[], bool] = lambda: False
        largest = max((chunk.size for chunk in self._chunks), default=0)
        fitting = bounds.DECODED // max(1, largest * (AHEAD + OWN))
        threads = max(1, min(threads, fitting))
        self._ahead = AHEAD * threads
        self._pending: dict[int, Future[Buffer]] = {}
        self._free = [Buffer(largest) for _ in range(self._ahead + BEHIND + threads)]
        self._pool = ThreadPoolExecutor(threads)
        self._local = threading.local()
        self._where = map_section(bundle, section), self._chunks, section.name
        try:
            self._stream = CookieStream(self._guarded_read, self._size)
        except OSError as exc:
            raise _unopened(exc.errno) from exc
        self.pointer = self._stream.pointer

    def abort_when(self, asked: Callable[[], bool]) -> None:
        """Let reads fail from the moment that `asked` says so."""
        self._aborted = asked

    def __enter__(self) -> DecodingFile:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._pool.shutdown(cancel_futures=True)
        if self._failure is not None:
            raise self._failure from None
        if error is None:
            self._progress(self._size, self._size)

    def _guarded_read(self, buffer: int, size: int) -> int:
        if self._failure is None and not self._aborted():
            try:
                return self._read(buffer, size)
            except BaseException as exc:  # raised again on closing
                self._failure = exc
        return -1

    def _read(self, buffer: int, size: int) -> int:
        """Copy up to `size` bytes to the address `buffer`, from one chunk; return how many."""
        if size == 0:
            return 0
        position = self._stream.position
        index = bisect_right(self._starts, position) - 1
        chunk = self._chunks[index]
        start = position - chunk.target
        count = min(size, chunk.size - start)
        ctypes.memmove(buffer, self._decoded(index).address + start, count)
        self._furthest = max(self._furthest, position + count)
        self._progress(self._furthest, self._size)
        return count

    def _decoded(self, index: int) -> Buffer:
        """Return the original of a chunk, and have those behind it decoded."""
        wanted = range(max(0, index - BEHIND), min(index + self._ahead, len(self._chunks)))
        for other in [other for other in self._pending if other not in wanted]:
            future = self._pending.pop(other)
            if not future.cancel():
                future.add_done_callback(self._release)
        for other in wanted:
            if other >= index and other not in self._pending:
                self._pending[other] = self._pool.submit(self._decode, self._chunks[other])
        return self._pending[index].result()

    def _decode(self, chunk: Chunk) -> Buffer:
        if not hasattr(self._local, "decoder"):
            self._local.decoder = Decoder(*self._where)
        # Every chunk that is pending or being decoded has one, so there is always one left.
        buffer = self._free.pop()
        try:
            self._local.decoder.decode(chunk, buffer)
        except BaseException:
            self._free.append(buffer)
            raise
        return buffer

    def _release(self, future: Future[Buffer]) -> None:
        if not future.exception():
            self._free.append(future.result())


File: TypeAlias = RangeFile | EndingFile | DecodingFile
