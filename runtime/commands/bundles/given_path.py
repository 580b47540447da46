"""Paths on command lines, and what is said of them before anything takes long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runtime.errors import UsageError


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


def require_folder(path: Path) -> None:
    """Raise UsageError unless there is a folder at `path`."""
    if path.is_dir():
        return
    found = (
        f"{path} is a file; a folder was expected"
        if path.exists()
        else f"there is no folder {path}"
    )
    raise UsageError(found, hint="name a folder that exists, or make it")
