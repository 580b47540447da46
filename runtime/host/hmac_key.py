"""HMAC key of the user, which marks files as written by this user on this machine.

It proves nothing outside this user's account. Without a data folder, nothing can be marked.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from runtime.host import app_dirs, atomic_write

NAME, SIZE = "secret", 32
MAC_SIZE = 32


def sign(digest: bytes) -> bytes:
    """Return the HMAC-SHA-256 of a SHA-256 digest (32 bytes); empty if no key can be stored."""
    key = _read() or _create()
    return hmac.digest(key, digest, "sha256") if key else b""


def verify(digest: bytes, mac: bytes) -> bool:
    """Return whether `mac` is what `sign` returned for `digest`, with this user's key."""
    key = _read()
    return bool(key) and hmac.compare_digest(hmac.digest(key, digest, "sha256"), mac)


def _path() -> Path:
    return app_dirs.data() / NAME


def _read() -> bytes:
    """Return the key; empty if there is none, or other users may have read or replaced it."""
    try:
        fd = os.open(_path(), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        alone = status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077
        key = file.read(SIZE + 1) if stat.S_ISREG(status.st_mode) and alone else b""
    return key if len(key) == SIZE else b""


def _create() -> bytes:
    """Create a key, or read that of a concurrent process; empty if it cannot be stored."""
    path = _path()
    temporary = path.with_name(f".{NAME}.{os.getpid()}")
    unusable = os.path.lexists(path)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), open(temporary, "xb", opener=owner_only) as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(file.fileno())
            atomic_write.rename_into_place(temporary, path, force=unusable)
    with contextlib.suppress(OSError):
        temporary.unlink()
    return _read()


def owner_only(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file with mode 0600 if it is created: an `opener` for `open`."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
