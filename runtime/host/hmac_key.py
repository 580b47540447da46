"""The user's own secret: by it their programs know again what they wrote themselves.

It vouches for nothing beyond this user's account, and whoever has no data folder does without.
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
MARK_SIZE = 32


def mark(digest: bytes) -> bytes:
    """Return what goes with a SHA-256 to show whose it is: its HMAC-SHA-256.

    Empty where no secret can be kept.
    """
    key = _read() or _made()
    return hmac.digest(key, digest, "sha256") if key else b""


def is_own(digest: bytes, found: bytes) -> bool:
    """Tell whether `found` is what `mark` returned for `digest`, to this user, on this machine."""
    key = _read()
    return bool(key) and hmac.compare_digest(hmac.digest(key, digest, "sha256"), found)


def _path() -> Path:
    return app_dirs.data() / NAME


def _read() -> bytes:
    """Return the secret; empty where there is none, or one that others may know or have put."""
    try:
        fd = os.open(_path(), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        alone = status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077
        key = file.read(SIZE + 1) if stat.S_ISREG(status.st_mode) and alone else b""
    return key if len(key) == SIZE else b""


def _made() -> bytes:
    """Return a new secret, or that of another process which was first; empty where none stays."""
    path = _path()
    draft = path.with_name(f".{NAME}.{os.getpid()}")
    unusable = os.path.lexists(path)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), open(draft, "xb", opener=private) as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(file.fileno())
            atomic_write.move(draft, path, force=unusable)
    with contextlib.suppress(OSError):
        draft.unlink()
    return _read()


def private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file, and if it is a new one, for its owner alone; an opener for `open`."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
