"""The tables of docs/bounds.md, row by row."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paths import ROOT

UNITS = {
    "": 1, "characters": 1, "million characters": 10**6, "s": 1,
    "MB": 10**6, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}  # fmt: skip
ROW = re.compile(
    r"^\| (.+) \| ([\d.,]+)(?: ([a-zA-Z ]+))? \| ([^`|]+)(?:`(.*)` )?\| `(\w+)` \|$", re.M
)


@dataclass(frozen=True)
class Row:
    """What the table says of one bound."""

    input: str
    most: float
    """In the module's units."""
    outcome: str
    """A status of HTTP, `exit` and the program's, or a word."""
    says: str
    """What is in the answer beyond it; empty where there is none."""
    name: str
    """Of the constant."""


def rows() -> list[Row]:
    """Return all rows of all tables."""
    text = (ROOT / "docs" / "bounds.md").read_text(encoding="utf-8")
    found = [
        Row(what, float(number.replace(",", "")) * UNITS[unit], outcome.strip(), says, name)
        for what, number, unit, outcome, says, name in ROW.findall(text)
    ]
    assert len(found) == len(re.findall(r"^\| (?!input |---)", text, re.M))  # none was overlooked
    return found
