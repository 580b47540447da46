"""The temporary folder that a frozen program unpacks itself into.

The launcher removes the folder at the end, but not after SIGKILL or a power cut. So each running
program locks its folder and then seals it. A later start tells the dead from the living by that,
even across containers that share the folder but not the process numbers.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MARK = ".modelembed.lock"
"""Shipped in every stub, and unpacked first: tells our folders from those of other programs."""
SEAL = 0o1700
"""The permissions of a folder whose program came to run. Other programs' have no sticky bit. It
stays to the last of a removal that is cut off, when the mark may be gone."""
PATTERN = re.compile(r"_MEI([0-9a-f]{8})\w{6}|_MEI\w+")
UNPACKING_SECONDS = 120
"""A folder in which nothing changed for so long is not being unpacked, nor removed, any more."""
REMOVING_SECONDS = 2
"""The same for a removal, where no process has the launcher's number; a container may hide it."""


def frozen_folder() -> Path | None:
    """Return where a frozen program was unpacked, as an absolute path."""
    folder = getattr(sys, "_MEIPASS", None)
    return Path(folder).absolute() if folder else None


def settle() -> None:
    """Make the unpacked folder's path absolute, lock it, and sweep up after killed runs."""
    folder = getattr(sys, "_MEIPASS", None)
    if folder is None:
        return
    own = Path(folder).absolute()  # with a relative TMPDIR it would break on chdir
    sys._MEIPASS = str(own)  # type: ignore[attr-defined]
    with contextlib.suppress(OSError):
        _lock(own)
    with contextlib.suppress(OSError):
        sweep(own)


def _lock(folder: Path) -> None:
    """Hold a shared lock until the process ends; children inherit it. Then seal the folder."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.fchmod(descriptor, SEAL)


def sweep(own: Path) -> list[Path]:
    """Remove the folders of dead runs beside `own`; return those removed."""
    removed = []
    for folder in own.parent.glob("_MEI*"):
        if folder != own and PATTERN.fullmatch(folder.name) and _dead(folder):
            with contextlib.suppress(OSError):
                folder.chmod(SEAL)  # this, too, may be cut off
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _dead(folder: Path) -> bool:
    """Tell whether a folder is ours, and nobody's any more."""
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        sealed = stat.S_IMODE(status.st_mode) == SEAL
        if status.st_uid != os.getuid() or not (sealed or _marked(descriptor)):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    # What is not sealed may be being unpacked by a process that has no number here, and what is
    # sealed being removed; the first takes long, and writes where the folder's own time stays.
    patience = REMOVING_SECONDS if sealed and _orphaned(folder.name) else UNPACKING_SECONDS
    return time.time() - max(status.st_mtime, *_changes(folder)) > patience


def _marked(folder: int) -> bool:
    """Tell whether the open folder has our mark, and no link in its place."""
    with contextlib.suppress(OSError):
        return stat.S_ISREG(os.stat(MARK, dir_fd=folder, follow_symlinks=False).st_mode)
    return False


def _changes(folder: Path) -> Iterator[float]:
    """Yield when each thing in a folder was last changed, in seconds since 1970."""
    yield 0.0
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            with contextlib.suppress(FileNotFoundError):
                yield os.lstat(os.path.join(place, name)).st_mtime


def _orphaned(name: str) -> bool:
    """Tell whether the launcher whose number is in the folder's name has ended."""
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
