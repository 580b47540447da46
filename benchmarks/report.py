"""Hold what was measured against its target, as a table for people and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One comparison: our figures, the peer's from the same minutes, and what must be reached."""

    what: str
    unit: str
    ours: tuple[float, ...]
    peer: tuple[float, ...] = ()
    """Empty where the target is for our figure itself and not for the ratio."""
    peer_name: str = ""
    target: float | None = None
    """None: shown for comparison only."""
    at_least: bool = False
    """The target is a lower bound, not an upper one."""
    note: str = ""

    @property
    def value(self) -> float:
        """Return the ratio of the medians, or our median where there is no peer."""
        ours = statistics.median(self.ours)
        return ours / statistics.median(self.peer) if self.peer else ours

    @property
    def passed(self) -> bool | None:
        """Say whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def cells(self) -> list[str]:
        """Return the cells of the row's line in the table."""
        bound = "" if self.target is None else f"{'≥' if self.at_least else '≤'} {self.target:g}"
        peer = f"{_figure(self.peer, self.unit)} ({self.peer_name})" if self.peer else "-"
        return [
            self.what + (f" ({self.note})" if self.note else ""),
            _figure(self.ours, self.unit),
            peer,
            f"{self.value:.3f}" if self.peer else "-",
            bound,
            {True: "pass", False: "**FAIL**", None: "-"}[self.passed],
        ]


def _figure(values: Sequence[float], unit: str) -> str:
    """Return the median, and how far the others lie from it."""
    median = statistics.median(values)
    digits = 0 if unit in ("bytes", "MB", "flips") else 3 if abs(median) < 10 else 1
    text = f"{median:,.{digits}f} {unit}"
    if len(values) > 1 and median:
        spread = max(abs(value - median) for value in values) / abs(median)
        text += f" ±{spread:.0%}"
    return text


HEAD = ("what", "ours", "peer", "ratio", "target", "")


def table(rows: Sequence[Row], failures: Mapping[str, str] = {}) -> str:
    """Return the rows as a Markdown table, with why those named in `failures` were not measured."""
    failed = [_failed(name, why) for name, why in failures.items()]
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows), *failed]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _failed(name: str, why: str) -> list[str]:
    text = " / ".join(why.replace("|", "\\|").split("\n"))
    return [f"{name}: could not be measured: {text}", *("-" * (len(HEAD) - 2)), "**FAIL**"]


def document(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows with every single figure, for JSON."""
    return [{**asdict(row), "value": row.value, "passed": row.passed} for row in rows]
