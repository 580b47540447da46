"""Paths on command lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class GivenPath(click.Path):
    """A path that is not empty: pathlib takes an empty one for the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; raise click's error if nothing was given."""
        if value == "":
            self.fail("it is empty; a shell puts nothing in the place of a variable that is unset")
        return super().convert(value, param, ctx)


PATH = GivenPath()
