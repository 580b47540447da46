"""Atomic file writing: a file appears complete under its name, or not at all."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from runtime.errors import AppError, UsageError
from runtime.host import fileio
from runtime.host.progress_bar import Progress
from runtime.units import gigabytes

FORCE = "pass --force to replace it, or another name with -o"
ELSEWHERE = "choose another name with -o, or move it away"
NO_HARD_LINKS = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
"""Error numbers of file systems without hard links: FAT, network shares, FUSE."""


def require_new(target: Path, force: bool, hint: str = FORCE) -> None:
    """Raise UsageError if `target` exists and may not be replaced; `hint` says what to do.

    Raise AppError if there is no folder that it could be in.
    """
    try:
        os.stat(os.path.join(target.parent, ""))  # of a file, this fails as writing would
        is_folder, exists = target.is_dir(), target.exists()
    except OSError as exc:
        raise _app_error(exc, target) from exc
    if is_folder:
        raise UsageError(f"{target} is a folder", hint="name a file with -o")
    if exists and not force:
        raise UsageError(f"{target} exists already", hint=hint)


_COUNT = itertools.count()


@contextlib.contextmanager
def publish(target: Path, *, force: bool, mode: int = 0o755, hint: str = FORCE) -> Iterator[int]:
    """Yield a file descriptor to write to; on success `target` appears, complete.

    Where the file system supports O_TMPFILE, the file has no name until then, so that even SIGKILL
    leaves nothing behind. An existing `target` is replaced only with `force`, by an atomic rename;
    `hint` says what to do about an existing one. Raise AppError if it cannot be written; an OSError
    that names another file is passed on.
    """
    with publish_all({target: mode}, force=force, hint=hint) as (fd,):
        yield fd


@contextlib.contextmanager
def publish_all(
    modes: Mapping[Path, int], *, force: bool, hint: str = FORCE
) -> Iterator[Sequence[int]]:
    """Do what `publish` does for several files, which are given their names in order.

    No file is named before all are complete. If one cannot be named, the new ones named before it
    are removed. A file that refers to the others should come last.
    """
    for target in modes:
        require_new(target, force, hint)
    with contextlib.ExitStack() as stack:
        pending = []
        for target, mode in modes.items():
            pending.append(_PendingFile(target, mode, force, hint))
            stack.callback(pending[-1].close)
        with raise_on_sigterm():
            try:
                yield [file.fd for file in pending]
            except OSError as exc:
                if exc.filename is not None:
                    raise
                # An OSError without a file name comes from a descriptor: the one being written.
                raise _app_error(exc, pending[-1].target) from exc
            for file in pending:
                file.complete()
            try:
                for file in pending:
                    file.publish()
            except BaseException:
                for file in pending:
                    file.unpublish()
                raise


def write_new(
    target: Path,
    data: Iterable[bytes | memoryview],
    size: int,
    progress: Progress = lambda *_: None,
) -> None:
    """Write `data`, `size` bytes in total, to the new file `target`.

    Raise AppError if it exists or cannot be written; no partial file is left behind. That there is
    no room for so much is told before anything is written.
    """
    require_new(target, False, ELSEWHERE)
    _require_room(target, size)
    done = 0
    with publish(target, force=False, mode=0o644, hint=ELSEWHERE) as out:
        for piece in data:
            fileio.write_all(out, piece)
            done += len(piece)
            progress(done, size)


def _require_room(target: Path, size: int) -> None:
    """Raise AppError if the file system of `target` has fewer than `size` bytes free."""
    with _translate_errors(target):
        free = shutil.disk_usage(target.absolute().parent).free
    if size > free:
        raise AppError(
            f"{target} would take {gigabytes(size)}, there are {gigabytes(free)} free",
            hint="free some space on that disk, or choose another folder with -o",
        )


class _PendingFile:
    """A file being written: unnamed, or under a temporary name."""

    def __init__(self, target: Path, mode: int, force: bool, hint: str) -> None:
        self.target = target
        self._mode = mode
        self._force = force
        self._hint = hint
        self._folder = target.absolute().parent
        self._temporary = self._folder / f".modelembed-{os.getpid()}-{next(_COUNT)}.part"
        self._new = False
        with _translate_errors(target):
            self.fd, self._named = _create(self._folder, self._temporary)

    def complete(self) -> None:
        """Do everything that can fail, except giving the file its final name."""
        with _translate_errors(self.target):
            os.fchmod(self.fd, self._mode)
            os.fsync(self.fd)
            if not self._named:
                # Link to a temporary name first: only a rename can replace an existing file.
                with contextlib.suppress(FileNotFoundError):
                    self._temporary.unlink()
                self._named = True
                _link_unnamed(self.fd, self._temporary)

    def publish(self) -> None:
        """Give the file its final name."""
        self._new = not os.path.lexists(self.target)
        with _translate_errors(self.target, self._hint):
            rename_into_place(self._temporary, self.target, self._force)
            self._named = False
            _sync_folder(self._folder)

    def unpublish(self) -> None:
        """Remove the final name, unless it replaced an existing file."""
        with contextlib.suppress(OSError):
            if self._new and os.path.samestat(os.lstat(self.target), os.fstat(self.fd)):
                self.target.unlink()

    def close(self) -> None:
        """Close the file, and delete it unless it was published."""
        os.close(self.fd)
        if self._named:
            self._temporary.unlink(missing_ok=True)


def _create(folder: Path, temporary: Path) -> tuple[int, bool]:
    """Open a new file in `folder`; return its descriptor, and whether it is named `temporary`."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o644), False
    except OSError:
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        return os.open(temporary, flags, 0o644), True


@contextlib.contextmanager
def _translate_errors(target: Path, hint: str = FORCE) -> Iterator[None]:
    """Turn an OSError while writing `target` into an AppError.

    `hint` says what to do if the file exists already.
    """
    try:
        yield
    except FileExistsError as exc:
        raise UsageError(f"{target} exists already", hint=hint) from exc
    except OSError as exc:
        raise _app_error(exc, target) from exc


def _link_unnamed(fd: int, path: Path) -> None:
    """Give the unnamed file `fd` the name `path`, by linkat(2) of its entry in /proc."""
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Python calls linkat, which can follow the entry, only with a dir_fd.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=root, follow_symlinks=True)
    finally:
        os.close(root)


def rename_into_place(temporary: Path, target: Path, force: bool) -> None:
    """Rename `temporary` to `target`; without `force`, raise FileExistsError if `target` exists."""
    if force:
        temporary.replace(target)
        return
    try:
        os.link(temporary, target)  # fails if the file was created in the meantime
    except OSError as exc:
        if exc.errno not in NO_HARD_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        temporary.replace(target)
        return
    temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name durable; best effort, since some file systems cannot sync folders."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextlib.contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Raise KeyboardInterrupt at SIGTERM and SIGHUP, so that clean-up code runs.

    Signals that are ignored (nohup) stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # the only one to receive signals
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    handled = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = [(number, signal.signal(number, handle)) for number in handled]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _app_error(exc: OSError, target: Path) -> AppError:
    """Return the AppError for an OSError while writing `target`, with a hint for its cause."""
    hints = {
        "ENOSPC": "free some space on that disk, or choose another folder with -o",
        "EDQUOT": "your quota is used up: free some space, or choose another folder with -o",
        "EACCES": "choose a folder you may write to with -o",
        "EPERM": "choose a folder you may write to with -o",
        "EROFS": "that file system is read-only: choose another folder with -o",
        "ENOENT": "that folder does not exist: create it, or choose another with -o",
        "EFBIG": "that file system cannot hold so large a file (FAT32 ends at 4 GiB): "
        "choose another with -o",
    }
    code = errno.errorcode.get(exc.errno or 0, "")
    return AppError(f"{target} cannot be written: {exc.strerror}", hint=hints.get(code, ""))
