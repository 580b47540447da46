"""Hostile bundles, a script for each kind of lie, and what must come of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# pytest has it there already; `python -m attacks` has not.
sys.path.append(str(Path(__file__).parent.parent / "support"))

from attacks import chunk_tables, facts, footers, headers, manifests, sections, seek_tables


@dataclass(frozen=True)
class Attack:
    """A file to build, the command to try it on, and how that may end."""

    build: Callable[[Path], object]
    command: str
    codes: tuple[int, ...]
    restores: bool
    """Whether it restores to what it claims to be, gigabytes: to take them out is no failure."""


ALL = {
    f"{script.__name__.rpartition('.')[2]}-{name}": Attack(
        build, script.COMMAND, script.CODES, script is headers
    )
    for script in (footers, manifests, sections, chunk_tables, seek_tables, headers, facts)
    for name, build in script.ATTACKS.items()
}
