"""Files named by the user: open for random access, read as text, test for existence."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from runtime import bounds
from runtime.errors import UsageError


def open_seekable(path: str | os.PathLike[str]) -> int:
    """Open a file, block device or folder for random access; return its file descriptor.

    Raise OSError if it cannot be opened. Pipes and character devices are rejected: waiting for a
    pipe's writer would look like a hang.
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


def read_text(path: Path, *, encoding: str = "utf-8") -> str:
    """Return the UTF-8 text in `path`; raise UsageError if it cannot be read, or is too long.

    With `encoding="utf-8-sig"` a mark at its beginning is left out.
    """
    try:
        with open(path, encoding=encoding) as file:
            text = file.read(bounds.TEXT_FILE + 1)
    except OSError as exc:
        raise UsageError(
            f"{path} cannot be read: {exc.strerror}", hint="give the name of a text file"
        ) from exc
    except UnicodeDecodeError as exc:
        raise UsageError(
            f"{path} is no UTF-8 text", hint="save it as UTF-8, or give another"
        ) from exc
    if len(text) > bounds.TEXT_FILE:
        raise UsageError(
            f"{path} has more than {bounds.TEXT_FILE // 10**6} million characters, more than any "
            "context holds",
            hint="give the name of a text file",
        )
    return text.rstrip("\n")


def exists(path: Path) -> bool:
    """Return whether the file exists; raise UsageError if a permission is missing to tell."""
    try:
        os.stat(path)
    except PermissionError as exc:
        raise UsageError(
            f"{path} cannot be read: {exc.strerror}", hint="name a file that you may read"
        ) from exc
    except (OSError, ValueError):  # it does not exist, or the name is invalid
        return False
    return True
