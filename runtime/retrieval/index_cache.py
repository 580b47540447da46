"""Cache of indexes on disk (--docs FOLDER --cache), so that a folder is indexed once.

An index is kept under the folder's name and what it was made with, and beside them the state of all
files, so that a changed folder is indexed again and its old index forgotten.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import AppError
from runtime.host import app_dirs
from runtime.host.atomic_write import publish
from runtime.host.fileio import write_all
from runtime.search.index import Index
from runtime.search.writer import Made

SUFFIX = ".index"


@dataclass(frozen=True)
class Entry:
    """An index that is kept."""

    path: Path
    size: int
    used: float
    """When it was last used, in seconds since 1970."""


def folder() -> Path:
    """Return the folder of the cache."""
    return app_dirs.cache() / "documents"


def entries() -> list[Entry]:
    """Return what is kept, most recently used first."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder().iterdir():
            with contextlib.suppress(OSError):
                status = path.lstat()
                if path.suffix == SUFFIX:
                    found.append(Entry(path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def name_of(docs: Path, made_with: Sequence[str], state: str) -> str:
    """Return the name of the index of a folder in a state, made with a chunking and an embedder."""
    what = "\0".join([str(docs.resolve()), *made_with])
    return f"{_short(what)}-{_short(state)}"


def find(name: str, label: str) -> Index | None:
    """Return an index that is kept, None if there is none or it is damaged."""
    path = folder() / f"{name}{SUFFIX}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(AppError):
        index = Index(fd, 0, os.fstat(fd).st_size, label)
        with contextlib.suppress(OSError):
            os.utime(fd)
        return index
    os.close(fd)
    return None


def keep(name: str, made: Made) -> None:
    """Keep an index, and forget those of other states of its folder; raise AppError if it fails."""
    path = folder() / f"{name}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with publish(path, force=True, mode=0o600) as out:
        for chunk in made.chunks():
            write_all(out, chunk)
    for entry in entries():
        if entry.path.name.startswith(name.partition("-")[0]) and entry.path != path:
            with contextlib.suppress(OSError):
                entry.path.unlink()


def clear() -> list[Entry]:
    """Delete all; return what was deleted."""
    gone = entries()
    for entry in gone:
        with contextlib.suppress(OSError):
            entry.path.unlink()
    return gone


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]
