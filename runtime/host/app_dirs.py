"""XDG base directories: the user's cache and data folders."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import tempfile
from pathlib import Path

NAME = "modelembed"


def cache() -> Path:
    """Return the folder for files that can be created again."""
    return _base("XDG_CACHE_HOME", "~/.cache") / NAME


def data() -> Path:
    """Return the folder for files that the user created."""
    return _base("XDG_DATA_HOME", "~/.local/share") / NAME


def write_best_effort(path: Path, text: str) -> None:
    """Write a small file atomically; an OSError is ignored."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(text)
        temporary.replace(path)


def _base(variable: str, usual: str) -> Path:
    for name in (os.environ.get(variable, ""), os.path.expanduser(usual)):
        if os.path.isabs(name):  # the XDG specification says to ignore relative paths
            return Path(name)
    return _fallback_dir()


@functools.cache
def _fallback_dir() -> Path:
    """Return a folder for a user without a home directory, as in some containers."""
    path = Path(tempfile.gettempdir(), f"{NAME}-{os.getuid()}")
    with contextlib.suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
        if private and found.st_uid == os.getuid():
            return path
    # Another user owns that name: use an unpredictable one, for this run only.
    return Path(tempfile.mkdtemp(prefix=f"{path.name}-"))
