"""Keep what is costly to make (models, peers, programs) in one folder outside the checkout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from runtime.host import app_dirs


def folder(*parts: str) -> Path:
    """Return the folder `parts` of the cache, made if need be; XDG_CACHE_HOME moves the cache."""
    path = app_dirs.cache().joinpath("benchmarks", *parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def keep(path: Path, make: Callable[[Path], None]) -> Path:
    """Return `path`; where it is missing, let `make` write it, file or folder, at another name.

    An interrupted `make` leaves nothing under `path` that a later run could take for whole.
    """
    if path.exists():
        return path
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        make(draft)
        draft.rename(path)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink(missing_ok=True)
    return path
