"""Hostile bundles, a script for each kind of lie, and what must come of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from attacks import chunk_tables, facts, footers, manifests, sections, seek_tables


@dataclass(frozen=True)
class Attack:
    """A file to build, the command to try it on, and how that may end."""

    build: Callable[[Path], object]
    command: str
    codes: tuple[int, ...]


ALL = {
    f"{script.__name__.rpartition('.')[2]}-{name}": Attack(build, script.COMMAND, script.CODES)
    for script in (footers, manifests, sections, chunk_tables, seek_tables, facts)
    for name, build in script.ATTACKS.items()
}
