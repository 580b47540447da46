"""One option of a produced executable, described where it is declared."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def option(
    default: Any,
    *flags: str,
    help: str,
    low: float | None = None,
    high: float | None = None,
    metavar: str = "",
    choices: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    baked: bool = True,
    file: str = "",
) -> Any:
    """Return a dataclass field that also describes a command-line option.

    `file` says how a file's name is told from a text: "@FILE", "FILE" for either; empty for never.
    """
    return field(
        default=default,
        metadata={
            "flags": flags,
            "help": help,
            "low": low,
            "high": high,
            "metavar": metavar,
            "choices": choices,
            "aliases": aliases,
            "baked": baked,
            "file": file,
        },
    )
