"""Original of a compressed section in memory, shared by processes and freed while none needs it.

It is one memory file, which they inherit. It cannot be sealed against writing, as others are: what
is in it is given back to the system when the last process leaves, and written anew for the first
that comes again.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
from collections.abc import Iterator

from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.errors import PayloadError
from runtime.host.progress_bar import Progress
from runtime.weights import decompress

KEEP_SIZE, PUNCH_HOLE = 0x1, 0x2  # FALLOC_FL_… of <linux/falloc.h>
ABSENT, PRESENT = 0, 1
IDLE, USING = 0, 1


class SharedOriginal:
    """The memory file, and who uses it; made before the processes are forked."""

    def __init__(self, bundle: Bundle, section: Section, *, processes: int, threads: int) -> None:
        """Take the room for it; nothing is decompressed yet. Raise PayloadError without room."""
        self._bundle, self._section, self._threads = bundle, section, threads
        try:
            self.fd = os.memfd_create("model", os.MFD_CLOEXEC)
            os.ftruncate(self.fd, section.size)
            self._lock = os.memfd_create("lock", os.MFD_CLOEXEC)
        except OSError as exc:
            raise PayloadError(
                f"there is no memory to restore '{section.name}': {exc.strerror}",
                hint="try --no-memfd, which takes a temporary file",
            ) from exc
        self._state = mmap.mmap(-1, 1 + processes)
        """Whether the original is there, then of each process whether it uses it."""
        self._own = 1

    def belongs_to(self, number: int) -> None:
        """Note that this process is number so and so, from 0, in place of one that has ended."""
        self._own = 1 + number
        self._state[self._own] = IDLE

    def enter(self, progress: Progress = lambda *_: None) -> None:
        """Use the original from now on; decompress it if no other process does.

        Raise PayloadError if that fails: where memory is short, or the section is damaged.
        """
        with self._locked():
            self.restore(progress)
            self._state[self._own] = USING

    def restore(self, progress: Progress = lambda *_: None) -> None:
        """Decompress the original if it is not there; raise as `enter` does."""
        if self._state[0] == PRESENT:
            return
        try:
            decompress.into_fd(
                self._bundle, self._section, self.fd, threads=self._threads, progress=progress
            )
        except BaseException:
            self._free()
            raise
        self._state[0] = PRESENT

    def leave(self) -> None:
        """Use it no more; free it if no other process does."""
        with self._locked():
            self._state[self._own] = IDLE
            if not any(self._state[1:]):
                self._state[0] = ABSENT  # first: a process may end in between
                self._free()

    def _free(self) -> None:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
        fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        pages = -(-self._section.size // mmap.PAGESIZE)  # the last one is freed as a whole alone
        fallocate(self.fd, KEEP_SIZE | PUNCH_HOLE, 0, pages * mmap.PAGESIZE)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out; the system lets them in when this one ends."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
