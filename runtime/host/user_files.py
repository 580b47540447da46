"""Files that the user names: opened to be read from any place, or read whole as text."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from runtime.errors import UsageError


def open_seekable(path: str | os.PathLike[str]) -> int:
    """Return `path` opened to read from any place: a file, a disk, or a folder.

    Raise OSError where that cannot be, for pipes and devices as well: to wait for what comes out
    of a pipe would look as if the program hung.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode) or stat.S_ISBLK(mode) or stat.S_ISDIR(mode):
        return fd
    os.close(fd)
    what = "a pipe" if stat.S_ISFIFO(mode) else "a device"
    raise OSError(
        errno.ESPIPE, f"it is {what}, and must be a file that can be read from any place", path
    )


def read_text(path: Path) -> str:
    """Return the text in `path`; raise UsageError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as exc:
        raise UsageError(
            f"{path} cannot be read: {exc.strerror}", hint="give the name of a text file"
        ) from exc
    except UnicodeDecodeError as exc:
        raise UsageError(
            f"{path} is no UTF-8 text", hint="save it as UTF-8, or give another"
        ) from exc


def exists(path: Path) -> bool:
    """Tell whether there is such a file; raise UsageError where nobody may know."""
    try:
        os.stat(path)
    except PermissionError as exc:
        raise UsageError(
            f"{path} cannot be read: {exc.strerror}", hint="name a file that you may read"
        ) from exc
    except (OSError, ValueError):  # there is none, or there can be none of that name
        return False
    return True
