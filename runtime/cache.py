"""Keep restored models in the user's cache folder, so that later starts map them at once.

A model is written once, under a lock, checked against its SHA-256 and only then given its name;
whoever finds the name finds a whole model. When all together exceed their limit, the one not used
for longest goes first. Deleting one that runs is harmless: its pages stay until it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime import folders, parts, payload, restore
from runtime.errors import PayloadError
from runtime.format import Section
from runtime.payload import Bundle, Progress

SUFFIX = ".gguf"
GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Entry:
    """A model in the cache."""

    path: Path
    size: int
    used: float
    """When it was last used, in seconds since 1970."""

    @property
    def name(self) -> str:
        """Return its SHA-256."""
        return self.path.name.removesuffix(SUFFIX)


def folder() -> Path:
    """Return where the models are kept."""
    return folders.cache() / "models"


def entries() -> list[Entry]:
    """Return what is kept, the latest used first."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder().iterdir():
            with contextlib.suppress(OSError):
                status = path.stat()
                if path.suffix == SUFFIX and stat.S_ISREG(status.st_mode):
                    found.append(Entry(path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def clear() -> list[Entry]:
    """Delete everything that is kept; return what was."""
    gone = entries()
    for entry in gone:
        entry.path.unlink(missing_ok=True)
    return gone


def open_model(
    bundle: Bundle, section: Section, *, limit: float, threads: int, progress: Progress
) -> int:
    """Return a file descriptor of the restored section, restoring it now unless it is kept.

    `limit` is in gigabytes, for all models together. Raise PayloadError when the section is
    damaged, or there is no room to keep it.
    """
    if section.size > limit * GIGABYTE:
        raise PayloadError(
            f"the model has {section.size / GIGABYTE:.1f} GB, the cache may hold {limit:g} GB",
            hint="allow it more with --cache-size",
        )
    path = folder() / f"{section.sha256}{SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(path.with_suffix(".lock")):
            if (fd := _kept(path, section.size)) is not None:
                return fd
            _make_room(section.size, limit, path.stem)
            _write(bundle, section, path, threads, progress)
        fd = _kept(path, section.size)
    except OSError as exc:
        raise PayloadError(
            f"the model cannot be kept in {folder()}: {exc.strerror or exc}",
            hint="free some space there, or leave out --cache",
        ) from exc
    if fd is None:
        raise PayloadError(f"{path} vanished", hint="start again")
    return fd


def _kept(path: Path, size: int) -> int | None:
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
    table = restore.table_of(bundle, section)  # first: no room is taken for what is damaged
    temporary = path.with_suffix(f".{os.getpid()}.part")
    fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, section.size)
        restore.fill(bundle, section, fd, threads=threads, progress=progress, table=table)
        found = parts.hash_of(payload.chunks(fd, 0, section.size), section.size)
        parts.compare(bundle, section, found, section.sha256)
        os.fchmod(fd, 0o400)
        os.fsync(fd)
        temporary.rename(path)
    finally:
        os.close(fd)
        temporary.unlink(missing_ok=True)


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
    for leftover in folder().glob("*.part"):
        name = leftover.name.partition(".")[0]
        with _locked(folder() / f"{name}.lock", wait=False) as free:
            if free or name == own:  # nobody writes it
                leftover.unlink(missing_ok=True)


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
