"""The temporary folder that a frozen program unpacks itself into.

The launcher removes the folder at the end, but not after SIGKILL or a power cut. Each running
program holds a lock in its folder, so that a later start can tell the dead from the living, even
across containers that share the folder but not the process numbers.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
from pathlib import Path

MARK = ".modelembed.lock"
"""Shipped in every stub: tells our folders from those of other programs."""
PATTERN = re.compile(r"_MEI([0-9a-f]{8})\w{6}|_MEI\w+")
UNPACKING_SECONDS = 120
"""A folder without a lock holder may still be being unpacked when it is younger than this …"""
ORPHAN_SECONDS = 2
"""… or than this, when no process has the launcher's number (in another container it may)."""


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
    """Hold a shared lock until the process ends; children inherit it."""
    import fcntl

    descriptor = os.open(folder / MARK, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def sweep(own: Path) -> list[Path]:
    """Remove the folders of dead runs beside `own`; return those removed."""
    removed = []
    for folder in own.parent.glob("_MEI*"):
        if folder != own and PATTERN.fullmatch(folder.name) and _dead(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _dead(folder: Path) -> bool:
    """Tell whether a folder is ours, and nobody's any more."""
    import fcntl

    try:
        status = folder.lstat()
        if status.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
            return False
        descriptor = os.open(folder / MARK, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False  # not ours, or cut off before the mark was unpacked
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    age = time.time() - status.st_mtime
    return age > (ORPHAN_SECONDS if _orphaned(folder.name) else UNPACKING_SECONDS)


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
