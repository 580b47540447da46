"""Extents: ranges of files and literal bytes, concatenated without reading them into memory."""

from __future__ import annotations

import contextlib
import errno
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from runtime.errors import PayloadError
from runtime.host import fileio

CHUNK = 4 << 20
COPY_STEP = 16 << 20  # until it goes to disk, and between two looks at Ctrl-C


@dataclass(frozen=True)
class Extent:
    """A range of an open file."""

    fd: int
    offset: int
    length: int


class Extents:
    """A sequence of extents and bytes that reads like one file."""

    def __init__(self, parts: Sequence[Extent | bytes]) -> None:
        self.parts = tuple(parts)
        lengths = [p.length if isinstance(p, Extent) else len(p) for p in self.parts]
        self._starts = [0, *accumulate(lengths)]
        self.size = self._starts[-1]

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`, fewer only at the end."""
        length = min(length, self.size - offset)
        result = []
        index = bisect_right(self._starts, offset) - 1
        while length > 0:
            inside = offset - self._starts[index]
            part = self.parts[index]
            if isinstance(part, Extent):
                data = _pread(part.fd, min(length, part.length - inside), part.offset + inside)
            else:
                data = part[inside : inside + length]
            result.append(data)
            offset += len(data)
            length -= len(data)
            index = bisect_right(self._starts, offset) - 1
        return b"".join(result)

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in order."""
        for offset in range(0, self.size, CHUNK):
            yield self.read(offset, CHUNK)

    def copy_to(self, out: int, progress: Callable[[int], None] = lambda _: None) -> None:
        """Append everything to the file `out`, in the kernel where it can; holes stay holes."""
        done = 0
        for part in self.parts:
            if isinstance(part, Extent):
                for moved in _copy_extent(part, out):
                    done += moved
                    progress(done)
            else:
                fileio.write_all(out, part)
                done += len(part)
                progress(done)


def _copy_extent(extent: Extent, out: int) -> Iterator[int]:
    """Copy an extent to the end of `out`, yielding the bytes of each step."""
    position, end = extent.offset, extent.offset + extent.length
    if os.fstat(extent.fd).st_size < end:  # what is missing would look like a hole
        raise _shorter()
    while position < end:
        data = _seek(extent.fd, position, os.SEEK_DATA, end)
        if data > position:
            # ftruncate leaves a hole where the model has one (sparse files, 20 GB tests).
            target = os.lseek(out, data - position, os.SEEK_CUR)
            os.ftruncate(out, target)
            yield data - position
            position = data
        hole = _seek(extent.fd, position, os.SEEK_HOLE, end)
        fileio.reserve(out, os.lseek(out, 0, os.SEEK_CUR), hole - position)
        while position < hole:
            moved = _copy_range(extent.fd, out, min(hole - position, COPY_STEP), position)
            fileio.start_writing(out, os.lseek(out, 0, os.SEEK_CUR) - moved, moved)
            position += moved
            yield moved


def _seek(fd: int, offset: int, whence: int, end: int) -> int:
    """Return where data or a hole begins, `end` when there is none before."""
    if offset >= end:
        return end
    try:
        return min(os.lseek(fd, offset, whence), end)
    except OSError as exc:
        if exc.errno == errno.ENXIO:  # nothing but a hole up to the end of the file
            return end
        return offset if whence == os.SEEK_DATA else end


def _copy_range(source: int, out: int, length: int, offset: int) -> int:
    """Copy up to `length` bytes, sharing blocks where the file system can; return how many."""
    # Not every file system can. Nor is a failure told apart here: reading or writing says whose.
    with contextlib.suppress(OSError):
        if moved := os.copy_file_range(source, out, length, offset_src=offset):
            return moved
    data = _pread(source, min(length, CHUNK), offset)
    fileio.write_all(out, data)
    return len(data)


def _pread(fd: int, length: int, offset: int) -> bytes:
    """Return 1 to `length` bytes at `offset`; raise PayloadError where there are none to be had."""
    try:
        data = os.pread(fd, length, offset)
    except OSError as exc:
        raise PayloadError(
            f"the model file cannot be read: {exc.strerror}",
            hint="see to the disk that it lies on, or get the file again",
        ) from exc
    if not data:
        raise _shorter()
    return data


def _shorter() -> PayloadError:
    return PayloadError(
        "the model file became shorter while it was read", hint="let its download finish first"
    )
