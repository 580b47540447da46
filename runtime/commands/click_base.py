"""A command of either program: with -v it shows where something failed that nobody foresaw."""

from __future__ import annotations

from typing import Any

import click

FLAGS = ("--verbose", "-v")
"""Looked for in the arguments, so that they count wherever they stand; see outcome_of."""

verbose = click.option(
    *FLAGS,
    is_flag=True,
    expose_value=False,
    help="show a traceback after an unexpected failure",
)


class Command(click.Command):
    """A command that takes -v, if only for that."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add the option, unless the command has its own."""
        super().__init__(*args, **kwargs)
        if not any(FLAGS[0] in parameter.opts for parameter in self.params):
            verbose(self)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


Group.group_class = Group
