"""The user's own folders for what is kept between runs, as the XDG base directories name them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NAME = "modelembed"


def cache() -> Path:
    """Return where lies what can be made again."""
    return _base("XDG_CACHE_HOME", "~/.cache") / NAME


def data() -> Path:
    """Return where lies what the user made."""
    return _base("XDG_DATA_HOME", "~/.local/share") / NAME


def remember(path: Path, text: str) -> None:
    """Write a small file whole or not at all; that it cannot be written harms nobody."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(text)
        temporary.replace(path)


def _base(variable: str, usual: str) -> Path:
    return Path(os.environ.get(variable) or os.path.expanduser(usual))
