"""The user's own folders for what is kept between runs, as the XDG base directories name them."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import tempfile
from pathlib import Path

NAME = "modelembed"


def cache() -> Path:
    """Return where lies what can be made again."""
    return _base("XDG_CACHE_HOME", "~/.cache") / NAME


def data() -> Path:
    """Return where lies what the user made."""
    return _base("XDG_DATA_HOME", "~/.local/share") / NAME


def remember(path: Path, text: str) -> None:
    """Write a small file whole or not at all; that it cannot be written harms nobody."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(text)
        temporary.replace(path)


def _base(variable: str, usual: str) -> Path:
    for name in (os.environ.get(variable, ""), os.path.expanduser(usual)):
        if os.path.isabs(name):  # the specification: relative ones are to be ignored
            return Path(name)
    return _homeless()


@functools.cache
def _homeless() -> Path:
    """Return a folder for a user whom the system knows no home of, as in some containers."""
    path = Path(tempfile.gettempdir(), f"{NAME}-{os.getuid()}")
    with contextlib.suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
        if private and found.st_uid == os.getuid():
            return path
    # Somebody else has taken that name: one that nobody could foresee, for this run alone.
    return Path(tempfile.mkdtemp(prefix=f"{path.name}-"))
