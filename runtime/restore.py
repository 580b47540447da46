"""Restore a compressed section into memory, in parallel.

The target is a memfd, sealed when it is complete, so that nothing can change the weights any
more; where the system has none, an unlinked temporary file. Every thread decompresses frame by
frame into a buffer that fits the processor's cache, and writes it to its place.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from collections.abc import Sequence
from itertools import accumulate

import zstandard

from runtime import seekable
from runtime.errors import PayloadError
from runtime.format import Section
from runtime.payload import Bundle, Progress
from runtime.seekable import Frame

F_ADD_SEALS = 1033
SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL | SHRINK | GROW | WRITE
TICK = 0.05  # seconds between two looks at the progress, and at Ctrl-C


def restore(
    bundle: Bundle,
    section: Section,
    *,
    threads: int,
    memfd: bool = True,
    progress: Progress = lambda *_: None,
) -> int:
    """Return a file descriptor that holds the section's original bytes.

    `memfd=False` forces the temporary file. Raise PayloadError when the section is damaged
    or there is no room for it.
    """
    frames = _frames(bundle, section)
    fd, sealable = _target(section.size, memfd)
    try:
        _fill(bundle, section, frames, fd, threads, progress)
        if sealable:
            _seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def first_bytes(bundle: Bundle, section: Section, count: int = 1) -> bytes:
    """Return the beginning of a compressed section's original: its first `count` frames."""
    frames = _frames(bundle, section)
    if not frames:
        raise _damaged(section, "it is empty")
    return b"".join(_content(bundle, section, frame) for frame in frames[:count])


def _content(bundle: Bundle, section: Section, frame: Frame) -> bytes:
    """Decompress one frame."""
    data = os.pread(bundle.fd, frame.length, section.offset + frame.offset)
    try:
        if zstandard.get_frame_parameters(data).content_size != frame.size:
            raise _damaged(section, "a frame has another size than it should")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=frame.size)
    except zstandard.ZstdError as exc:
        raise _damaged(section, str(exc)) from exc


def _frames(bundle: Bundle, section: Section) -> list[Frame]:
    end = section.offset + section.length
    footer = seekable.FOOTER.size
    if section.length < footer:
        raise _damaged(section, "it is too short")
    length = seekable.table_length(os.pread(bundle.fd, footer, end - footer))
    if length > section.length:
        raise _damaged(section, "its seek table is longer than itself")
    table = os.pread(bundle.fd, length, end - length)
    return seekable.decode(table, section.length, section.size)


def _target(size: int, memfd: bool) -> tuple[int, bool]:
    """Return a new file of `size` bytes in memory, and whether it can be sealed."""
    if memfd and hasattr(os, "memfd_create"):
        try:
            fd = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(fd, size)
            return fd, True
        except OSError:
            pass  # an old kernel, or one that forbids it: the file below serves as well
    try:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    except OSError as exc:
        raise PayloadError(
            f"there is no folder for temporary files: {exc.strerror}",
            hint="set TMPDIR to a folder that you may write to",
        ) from exc
    try:
        # Reserve the space now: running out of it later would be a SIGBUS in a mapping.
        os.posix_fallocate(fd, 0, size)
    except OSError as exc:
        os.close(fd)
        raise PayloadError(
            f"{tempfile.gettempdir()} has no room to restore the model: "
            f"{size / 1e9:.2f} GB are needed ({exc.strerror})",
            hint="free some space there, or set TMPDIR to a folder that has it",
        ) from exc
    return fd, False


def _fill(
    bundle: Bundle,
    section: Section,
    frames: Sequence[Frame],
    fd: int,
    threads: int,
    progress: Progress,
) -> None:
    """Decompress all frames into `fd`, each thread a contiguous stripe of them."""
    if not section.size:
        return
    try:
        _fill_mapped(bundle, section, frames, fd, threads, progress)
    except (MemoryError, OverflowError, OSError) as exc:
        raise PayloadError(
            f"there is no room to restore '{section.name}': {section.size / 1e9:.2f} GB are "
            f"needed ({exc})",
            hint="close other programs, or use a machine with more memory",
        ) from exc


def _fill_mapped(
    bundle: Bundle,
    section: Section,
    frames: Sequence[Frame],
    fd: int,
    threads: int,
    progress: Progress,
) -> None:
    base = section.offset % mmap.ALLOCATIONGRANULARITY
    with (
        mmap.mmap(
            bundle.fd,
            section.length + base,
            offset=section.offset - base,
            access=mmap.ACCESS_READ,
        ) as source,
    ):
        job = _Job(source, base, fd, len(frames))
        workers = [
            threading.Thread(target=job.run, args=(stripe,), daemon=True)
            for stripe in _stripes(frames, threads)
        ]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                while worker.is_alive():
                    worker.join(TICK)
                    progress(job.done, section.size)
        finally:
            job.stop = True  # Ctrl-C: the mappings must outlive the threads that use them
            for worker in workers:
                if worker.ident is not None:  # one that could not be started has none
                    worker.join()
        if job.failure or job.done != section.size:
            raise _damaged(section, job.failure or "a part of it was not restored")
        progress(section.size, section.size)


class _Job:
    """What the threads of one restore share."""

    def __init__(self, source: mmap.mmap, base: int, target: int, count: int) -> None:
        self.source = source
        self.base = base
        self.target = target
        self.stop = False
        self.failure = ""
        self._sizes = [0] * count  # a slot each, so that the threads need no lock
        self._next = iter(range(count))

    @property
    def done(self) -> int:
        """Return how many bytes are restored so far."""
        return sum(self._sizes)

    def run(self, frames: Sequence[Frame]) -> None:
        """Decompress `frames`; record the first failure instead of raising."""
        slot = next(self._next)
        source = memoryview(self.source)
        try:
            decompressor = zstandard.ZstdDecompressor()
            # Small enough for the cache. Writing it costs less than faulting zeroed pages in.
            scratch = memoryview(bytearray(max((f.size for f in frames), default=0)))
            for frame in frames:
                if self.stop:
                    return
                start = self.base + frame.offset
                with (
                    source[start : start + frame.length] as data,
                    # One pass into `scratch`: libzstd sees room for the whole content.
                    decompressor.stream_reader(data) as reader,
                ):
                    if reader.readinto(scratch[: frame.size]) != frame.size or reader.read(1):
                        raise zstandard.ZstdError("a frame has another size than it should")
                self._write(scratch[: frame.size], frame.target)
                self._sizes[slot] += frame.size
        except Exception as exc:  # raised again by the thread that waits
            self.failure = self.failure or str(exc) or type(exc).__name__
            self.stop = True
        finally:
            source.release()

    def _write(self, data: memoryview, offset: int) -> None:
        while data:
            written = os.pwrite(self.target, data, offset)
            data, offset = data[written:], offset + written


def _stripes(frames: Sequence[Frame], threads: int) -> list[Sequence[Frame]]:
    """Cut `frames` into at most `threads` runs of about equal output."""
    total = sum(frame.size for frame in frames)
    ends = list(accumulate(frame.size for frame in frames))
    stripes = []
    begin = 0
    for index in range(threads):
        goal = total * (index + 1) / threads
        end = next((i + 1 for i, done in enumerate(ends) if done >= goal), len(frames))
        if frames[begin:end]:
            stripes.append(frames[begin:end])
        begin = max(begin, end)
    return stripes


def _seal(fd: int) -> None:
    import fcntl

    fcntl.fcntl(fd, F_ADD_SEALS, SEALS)


def _damaged(section: Section, detail: str) -> PayloadError:
    return PayloadError(
        f"the compressed part '{section.name}' is damaged: {detail}", hint=seekable.HINT
    )
