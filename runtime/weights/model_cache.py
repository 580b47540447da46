"""Cache of decompressed models on disk (--cache), which later starts map at once.

A model is written once, under a lock, checked against its SHA-256 and only then given its name;
whoever finds the name finds a whole model. That it is still the same is not checked at every start,
which would read all of it, but by `verify` and `cache list --check`.

When all together exceed their limit, the one not used for longest goes first. Deleting one that
runs is harmless: its pages stay until it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.container.hashing import hash_of
from runtime.container.layout import Section
from runtime.errors import CacheError
from runtime.host import app_dirs
from runtime.host.atomic_write import raise_on_sigterm
from runtime.host.progress_bar import Progress
from runtime.units import gigabytes
from runtime.weights import decompress

SUFFIX = ".gguf"
UNFINISHED = ".part"
GIGABYTE = 1_000_000_000
CLEAR = "delete it, it is made again at the next start: the program's command cache clear"


@dataclass(frozen=True)
class Entry:
    """A model in the cache, or an incomplete one that a killed run left."""

    path: Path
    size: int
    used: float
    """When it was last used, in seconds since 1970."""

    @property
    def name(self) -> str:
        """Return its SHA-256."""
        return self.path.name.partition(".")[0]

    @property
    def finished(self) -> bool:
        """Tell whether it is complete."""
        return self.path.suffix == SUFFIX


def folder() -> Path:
    """Return the folder of the cache."""
    return app_dirs.cache() / "models"


def entries() -> list[Entry]:
    """Return the complete models, most recently used first."""
    return _listed(SUFFIX)


def leftovers() -> list[Entry]:
    """Return incomplete models that no process is writing."""
    found = []
    for entry in _listed(UNFINISHED):
        with (
            contextlib.suppress(OSError),
            _locked(folder() / f"{entry.name}.lock", wait=False) as free,
        ):
            if free:
                found.append(entry)
    return found


def _listed(suffix: str) -> list[Entry]:
    found = []
    with contextlib.suppress(OSError):
        for path in folder().iterdir():
            with contextlib.suppress(OSError):
                status = path.stat()
                if path.suffix == suffix and stat.S_ISREG(status.st_mode):
                    found.append(Entry(path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def clear() -> list[Entry]:
    """Delete all models, complete or left incomplete by killed runs; return what was deleted.

    Raise CacheError where it cannot be deleted.
    """
    gone = [*entries(), *leftovers()]
    for entry in gone:
        try:
            entry.path.unlink(missing_ok=True)
        except OSError as exc:
            raise CacheError(
                f"{entry.path} cannot be deleted: {exc.strerror}",
                hint="give yourself the right to write to its folder",
            ) from exc
    return gone


def find(section: Section) -> Entry | None:
    """Return the cached copy of a section, if there is one."""
    same = (section.sha256, section.size)
    return next((entry for entry in entries() if same == (entry.name, entry.size)), None)


def is_intact(entry: Entry, progress: Progress = lambda *_: None) -> bool:
    """Hash a cached model; tell whether it is the bundled one. Raise CacheError if unreadable."""
    try:
        fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as exc:
        raise CacheError(f"{entry.path} cannot be read: {exc.strerror}", hint=CLEAR) from exc
    try:
        return (
            hash_of(bundle_file.read_chunks(fd, 0, entry.size), entry.size, progress) == entry.name
        )
    finally:
        os.close(fd)


def open_or_restore(
    bundle: Bundle, section: Section, *, limit: float, threads: int, progress: Progress
) -> int:
    """Return a file descriptor of the decompressed section, from the cache or new.

    `limit` is in gigabytes, for all models together. Raise PayloadError when the section is
    damaged, and CacheError when it cannot be kept.
    """
    if section.size > limit * GIGABYTE:
        raise CacheError(
            f"the model has {gigabytes(section.size)}, what is kept may take "
            f"{gigabytes(limit * GIGABYTE)}",
            hint="allow more with --cache-size, or pass --no-cache",
        )
    path = folder() / f"{section.sha256}{SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(path.with_suffix(".lock")):
            if (fd := _opened(path, section.size)) is not None:
                return fd
            _make_room(section.size, limit, path.stem)
            _write(bundle, section, path, threads, progress)
        fd = _opened(path, section.size)
    except OSError as exc:
        raise CacheError(
            f"the model cannot be kept in {folder()}: {exc.strerror or exc}",
            hint="free some space there, or pass --no-cache",
        ) from exc
    if fd is None:
        raise CacheError(f"{path} vanished", hint="start again")
    return fd


def _opened(path: Path, size: int) -> int | None:
    """Open a kept model and note its use; None when there is none that can be trusted."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    status = os.fstat(fd)
    # Only what we wrote ourselves and nobody else can write to is as good as what was checked.
    trusted = status.st_size == size and status.st_uid == os.geteuid()
    if not trusted or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        os.close(fd)
        return None
    with contextlib.suppress(OSError):
        os.utime(fd)
    return fd


def _write(bundle: Bundle, section: Section, path: Path, threads: int, progress: Progress) -> None:
    table = decompress.chunk_table_of(
        bundle, section
    )  # first: no room is taken for what is damaged
    temporary = path.with_suffix(f".{os.getpid()}{UNFINISHED}")
    with raise_on_sigterm(), _created(temporary) as fd:
        os.posix_fallocate(fd, 0, section.size)
        decompress.into_fd(bundle, section, fd, threads=threads, progress=progress, table=table)
        found = hash_of(bundle_file.read_chunks(fd, 0, section.size), section.size)
        bundle_file.require_hash(bundle, section, found, section.sha256)
        os.fchmod(fd, 0o400)
        os.fsync(fd)
        temporary.rename(path)


@contextlib.contextmanager
def _created(path: Path) -> Iterator[int]:
    """Give the new file `path`; it is gone afterwards, unless it was renamed."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)


def _make_room(size: int, limit: float, own: str) -> None:
    """Delete the models not used for longest until `size` more bytes are within the limit.

    And what killed runs left half-written; `own` is the name whose lock the caller holds.
    """
    kept = entries()
    total = sum(entry.size for entry in kept)
    while kept and total + size > limit * GIGABYTE:
        oldest = kept.pop()
        oldest.path.unlink(missing_ok=True)
        total -= oldest.size
    for entry in [*leftovers(), *(entry for entry in _listed(UNFINISHED) if entry.name == own)]:
        entry.path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock file; without `wait`, tell whether it was free."""
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(fd)
