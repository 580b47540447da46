"""Write a file so that it is either all there or not at all."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from runtime.errors import AppError, UsageError
from runtime.host import fileio
from runtime.host.progress_bar import Progress

FORCE = "pass --force to replace it, or another name with -o"
ELSEWHERE = "choose another name with -o, or move it away"
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
    with publish_all({target: mode}, force=force, hint=hint) as (fd,):
        yield fd


@contextlib.contextmanager
def publish_all(
    modes: Mapping[Path, int], *, force: bool, hint: str = FORCE
) -> Iterator[Sequence[int]]:
    """Do what `publish` does with several files, which get their names in the order given.

    None is named before all are complete, and where one cannot be named, what is new by then goes
    again. The one that needs the others comes last.
    """
    for target in modes:
        require_new(target, force, hint)
    with contextlib.ExitStack() as stack:
        drafts = []
        for target, mode in modes.items():
            drafts.append(_Draft(target, mode, force, hint))
            stack.callback(drafts[-1].close)
        with terminable():
            try:
                yield [draft.fd for draft in drafts]
            except OSError as exc:
                if exc.filename is not None:
                    raise
                # Without a name it is about an open file, and the one that is written is that.
                raise _explained(exc, drafts[-1].target) from exc
            for draft in drafts:
                draft.complete()
            try:
                for draft in drafts:
                    draft.publish()
            except BaseException:
                for draft in drafts:
                    draft.withdraw()
                raise


def write_new(
    target: Path,
    data: Iterable[bytes | memoryview],
    size: int,
    progress: Progress = lambda *_: None,
) -> None:
    """Write `data`, `size` bytes in all, to the new file `target`.

    Raise AppError where it exists, or cannot be written; nothing is left behind then.
    """
    done = 0
    with publish(target, force=False, mode=0o644, hint=ELSEWHERE) as out:
        for piece in data:
            fileio.write_all(out, piece)
            done += len(piece)
            progress(done, size)


class _Draft:
    """A file in the making, which has no name or a passing one."""

    def __init__(self, target: Path, mode: int, force: bool, hint: str) -> None:
        self.target = target
        self._mode = mode
        self._force = force
        self._hint = hint
        self._folder = target.absolute().parent
        self._temporary = self._folder / f".modelembed-{os.getpid()}-{next(_COUNT)}.part"
        self._new = False
        with _explaining(target):
            self.fd, self._named = _create(self._folder, self._temporary)

    def complete(self) -> None:
        """Do all that may fail, short of giving it its name."""
        with _explaining(self.target):
            os.fchmod(self.fd, self._mode)
            os.fsync(self.fd)
            if not self._named:
                # A name of its own first: linking cannot replace, renaming can.
                with contextlib.suppress(FileNotFoundError):
                    self._temporary.unlink()
                self._named = True
                _name(self.fd, self._temporary)

    def publish(self) -> None:
        """Give it its name."""
        self._new = not os.path.lexists(self.target)
        with _explaining(self.target, self._hint):
            move(self._temporary, self.target, self._force)
            self._named = False
            _sync_folder(self._folder)

    def withdraw(self) -> None:
        """Take its name back, if it has one that nothing had before."""
        with contextlib.suppress(OSError):
            if self._new and os.path.samestat(os.lstat(self.target), os.fstat(self.fd)):
                self.target.unlink()

    def close(self) -> None:
        """Let go of it; unless it was published, it is gone."""
        os.close(self.fd)
        if self._named:
            self._temporary.unlink(missing_ok=True)


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
