"""The stubs that were built before, in a folder of the user's cache.

A stub stays as it is for as long as it is there: what the engine said of a model with it is
remembered by its times, among others. So a file beside it notes when it was used last.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from runtime.errors import AppError
from runtime.host import app_dirs

KEPT = 4
"""Stubs that stay."""
USED = ".used"
"""Suffix of the file that is touched when a stub is used."""


def path_of(name: str) -> Path:
    """Return where the stub of that name is, or will be."""
    return _folder() / f"stub-{name}"


def note_use(stub: Path) -> None:
    """Have those not used for longest go first."""
    with contextlib.suppress(OSError):
        _mark(stub).touch()


def evict() -> None:
    """Delete the stubs not used for longest; another build may be doing the same."""
    found = []
    for path in _folder().glob("stub-*"):
        with contextlib.suppress(OSError):
            if path.suffix != USED:
                found.append((_last_use(path), path))
            elif not path.with_suffix("").exists():
                path.unlink()
    for _, path in sorted(found, reverse=True)[KEPT:]:
        for file in (path, _mark(path)):
            file.unlink(missing_ok=True)


def require_writable() -> None:
    """Make the folder that stubs are kept in; raise AppError where that may not be."""
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as exc:
        raise AppError(
            f"the runtime is kept in {folder}, which cannot be written: {exc.strerror}",
            hint="name a folder of yours for it: XDG_CACHE_HOME=$HOME/cache modelembed …",
        ) from exc


def _folder() -> Path:
    return app_dirs.cache() / "stubs"


def _mark(stub: Path) -> Path:
    return stub.with_name(stub.name + USED)


def _last_use(stub: Path) -> float:
    """Return when a stub was used last, in seconds since 1970; never used, when it was made."""
    try:
        return max(_mark(stub).stat().st_mtime, stub.stat().st_mtime)
    except FileNotFoundError:
        return stub.stat().st_mtime
