"""Temporary directory that a frozen program unpacks itself into: lock it, sweep abandoned ones.

The program's first stage keeps the directory in the user's cache, where it needs no care from here,
or makes a temporary one. It removes that on exit, but not after SIGKILL or a power failure. So each
running program locks its directory and then marks it as sealed by its mode. A later start tells
directories in use from abandoned ones by the lock, which also works between containers that share
the temporary directory but not the process IDs.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

MARKER = ".modelembed.lock"
"""A file shipped in every stub and unpacked first: it tells our directories from those of other
PyInstaller programs."""
RECORD = ".modelembed.runtime"
"""A file that the first stage puts into a directory that it keeps."""
SEALED_MODE = 0o1700
"""Mode of a directory whose program got as far as running. Other programs' directories have no
sticky bit. It survives an interrupted removal, which may already have deleted the marker."""


def frozen_folder() -> Path | None:
    """Return the absolute path of the unpacked program, None if the program is not frozen."""
    folder = getattr(sys, "_MEIPASS", None)
    return Path(folder).absolute() if folder else None


def lock() -> Path | None:
    """Make the unpacked directory's path absolute, and lock it if it is a temporary one.

    Return a temporary one, None where there is none: beside it those of killed runs may lie.
    """
    folder = getattr(sys, "_MEIPASS", None)
    if folder is None:
        return None
    own = Path(folder).absolute()  # relative if TMPDIR is, and would break on chdir
    sys._MEIPASS = str(own)  # type: ignore[attr-defined]
    if is_kept(own):
        return None
    with contextlib.suppress(OSError):
        _lock(own)
    return own


def is_kept(folder: Path) -> bool:
    """Tell whether the directory of a program stays for its next start."""
    return os.path.exists(folder / RECORD)


def _lock(folder: Path) -> None:
    """Hold a shared lock until the process and its children end; then seal the directory."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.fchmod(descriptor, SEALED_MODE)
