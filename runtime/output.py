"""Write a file so that it is either all there or not at all."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from runtime.errors import AppError, UsageError

FORCE = "pass --force to replace it, or another name with -o"
NO_LINKS = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
"""What file systems say that know no second name for a file: FAT, network shares, FUSE."""


def require_new(target: Path, force: bool, hint: str = FORCE) -> None:
    """Raise UsageError when `target` exists and may not be replaced; `hint` says what to do."""
    try:
        is_folder, exists = target.is_dir(), target.exists()
    except OSError as exc:
        raise _explained(exc, target) from exc
    if is_folder:
        raise UsageError(f"{target} is a folder", hint="name a file with -o")
    if exists and not force:
        raise UsageError(f"{target} exists already", hint=hint)


_COUNT = itertools.count()


@contextlib.contextmanager
def publish(target: Path, *, force: bool, mode: int = 0o755, hint: str = FORCE) -> Iterator[int]:
    """Give a file descriptor to write to; `target` appears, complete, at the end.

    Where the file system can, the file has no name until then, so that even SIGKILL leaves
    nothing behind. An existing `target` is replaced only with `force`, and in one step; `hint`
    says what to do about one that is in the way. Raise AppError when it cannot be written; a
    failure that names another file is passed on.
    """
    require_new(target, force, hint)
    folder = target.absolute().parent
    temporary = folder / f".modelembed-{os.getpid()}-{next(_COUNT)}.part"
    with _explaining(target):
        fd, named = _create(folder, temporary)
    try:
        with terminable():
            try:
                yield fd
            except OSError as exc:
                if exc.filename is not None:
                    raise
                # Without a name it is about an open file, and the one that is written is that.
                raise _explained(exc, target) from exc
            with _explaining(target, hint):
                os.fchmod(fd, mode)
                os.fsync(fd)
                if not named:
                    # A name of its own first: linking cannot replace, renaming can.
                    with contextlib.suppress(FileNotFoundError):
                        temporary.unlink()
                    _name(fd, temporary)
                    named = True
                move(temporary, target, force)
                named = False
                _sync_folder(folder)
    finally:
        os.close(fd)
        if named:
            temporary.unlink(missing_ok=True)


def _create(folder: Path, temporary: Path) -> tuple[int, bool]:
    """Open a new file in `folder`; return it, and whether it has a name, `temporary`."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o644), False
    except OSError:
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        return os.open(temporary, flags, 0o644), True


@contextlib.contextmanager
def _explaining(target: Path, hint: str = FORCE) -> Iterator[None]:
    """Turn what the system says against writing `target` into an AppError.

    `hint` says what to do about a file that is in the way.
    """
    try:
        yield
    except FileExistsError as exc:
        raise UsageError(f"{target} exists already", hint=hint) from exc
    except OSError as exc:
        raise _explained(exc, target) from exc


def _name(fd: int, path: Path) -> None:
    """Give the unnamed file `fd` a name; linkat(2) of its entry in /proc does it."""
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Only with a folder given does Python call linkat, which follows the entry.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=root, follow_symlinks=True)
    finally:
        os.close(root)


def move(temporary: Path, target: Path, force: bool) -> None:
    """Give a complete file its name; without `force` raise FileExistsError if that is taken."""
    if force:
        temporary.replace(target)
        return
    try:
        os.link(temporary, target)  # fails if somebody made it meanwhile
    except OSError as exc:
        if exc.errno not in NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        temporary.replace(target)
        return
    temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name durable; some file systems cannot, and need not."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP clean up like Ctrl-C does; where ignored (nohup), they stay so."""
    if threading.current_thread() is not threading.main_thread():  # no other gets signals
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    heard = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = [(number, signal.signal(number, handle)) for number in heard]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _explained(exc: OSError, target: Path) -> AppError:
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
