"""Folder where a worker keeps large tensors (--cache), so that they need not be sent again.

ggml's server writes and reads them, each under a hash of its content, which it checks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from runtime.errors import CacheError
from runtime.host import app_dirs

KEPT_SHARE = 0.75
"""Of the limit, when a session begins: the rest is for what it is sent."""


def folder() -> Path:
    """Return the folder."""
    return app_dirs.cache() / "tensors"


def prepare() -> None:
    """Make the folder; raise CacheError if it cannot be made."""
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise CacheError(
            f"tensors cannot be kept in {folder()}: {exc.strerror}",
            hint="leave out --cache, or name another folder: XDG_CACHE_HOME=$HOME/cache",
        ) from exc


def used() -> int:
    """Return the bytes of all tensors that are kept."""
    return sum(size for _, size, _ in _entries())


def make_room(limit: int) -> int:
    """Return the bytes that may be written, of `limit` for all; the oldest go if few are left."""
    found = sorted(_entries())
    total = sum(size for _, size, _ in found)
    for _, size, path in found:
        if total <= KEPT_SHARE * limit:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
    return max(0, limit - total)


def _entries() -> Iterator[tuple[float, int, Path]]:
    """Yield the time of the last use, size and path of each tensor."""
    try:
        paths = list(folder().iterdir())
    except OSError:
        return
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            yield max(status.st_atime, status.st_mtime), status.st_size, path
