"""Temporary directories of killed programs: told from those in use, and removed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from runtime.host.unpack_dir import MARKER, SEALED_MODE

PATTERN = re.compile(r"_MEI([0-9a-f]{8})\w{6}|_MEI\w+")
UNPACKING_SECONDS = 120
"""After this long without a change, nothing is being unpacked into a directory or removed from
it."""
REMOVING_SECONDS = 2
"""The same if the launcher's process ID does not exist; it may be hidden in another container."""


def sweep(own: Path) -> list[Path]:
    """Remove the abandoned directories beside `own`; return those removed."""
    removed: list[Path] = []
    try:
        found = list(own.parent.glob("_MEI*"))
    except OSError:
        return removed
    for folder in found:
        if folder != own and PATTERN.fullmatch(folder.name) and _is_abandoned(folder):
            with contextlib.suppress(OSError):
                folder.chmod(SEALED_MODE)  # the removal may be interrupted, too
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _is_abandoned(folder: Path) -> bool:
    """Return whether a directory was unpacked by us and is no longer in use."""
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        sealed = stat.S_IMODE(status.st_mode) == SEALED_MODE
        if status.st_uid != os.getuid() or not (sealed or _has_marker(descriptor)):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    # An unsealed directory may still be being unpacked, by a process in another container, and a
    # sealed one may be being removed. Unpacking takes long, and writes to subdirectories, which
    # does not change the directory's own mtime.
    patience = REMOVING_SECONDS if sealed and _launcher_ended(folder.name) else UNPACKING_SECONDS
    return time.time() - max(status.st_mtime, *_modification_times(folder)) > patience


def _has_marker(folder: int) -> bool:
    """Return whether the open directory contains the marker as a regular file, not a symlink."""
    with contextlib.suppress(OSError):
        return stat.S_ISREG(os.stat(MARKER, dir_fd=folder, follow_symlinks=False).st_mode)
    return False


def _modification_times(folder: Path) -> Iterator[float]:
    """Yield the mtime of everything in a directory, in seconds since 1970."""
    yield 0.0
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            with contextlib.suppress(FileNotFoundError):
                yield os.lstat(os.path.join(place, name)).st_mtime


def _launcher_ended(name: str) -> bool:
    """Return whether the launcher whose process ID is in the directory's name has ended."""
    match = PATTERN.fullmatch(name)
    if match is None or match[1] is None:
        return False
    try:
        os.kill(int(match[1], 16), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
