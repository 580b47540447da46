"""Finding: the result of one check, with a remedy for a problem."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.sanitize import plain

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    state: str
    what: str
    detail: str
    remedy: str = ""

    def line(self) -> str:
        """Return the line of the report, with the remedy below it."""
        text = plain(f"{self.state:<4}  {self.what:<12} {self.detail}")
        return f"{text}\n{'':<19}{plain(self.remedy)}" if self.remedy else text
