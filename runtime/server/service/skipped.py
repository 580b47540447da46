"""What was left out of a request because it cannot be done here, named in a header."""

from __future__ import annotations

from collections.abc import Sequence

HEADER = "X-Modelembed-Skipped"
NAMES, LENGTH = 20, 100
"""How many kinds are named at most, and how much of each name."""


def headers(kinds: Sequence[str]) -> dict[str, str]:
    """Return the header; none if nothing was left out."""
    return {HEADER: ", ".join(map(_written, kinds[:NAMES]))} if kinds else {}


def _written(kind: str) -> str:
    """Return a name as a header can have it: a stranger may have sent anything."""
    name = "".join(c for c in kind[:LENGTH] if c.isascii() and c.isprintable())
    return name.strip() or "?"
