"""click base classes: every command accepts -v, for the traceback of an unexpected error."""

from __future__ import annotations

from typing import Any

import click

FLAGS = ("--verbose", "-v")
"""Looked up in the raw arguments, so that their position does not matter; see exit_status."""

verbose = click.option(
    *FLAGS,
    is_flag=True,
    expose_value=False,
    help="show where something failed that nobody foresaw",
)


class Command(click.Command):
    """A command that accepts -v."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add the option, unless the command defines its own."""
        super().__init__(*args, **kwargs)
        if not any(FLAGS[0] in parameter.opts for parameter in self.params):
            verbose(self)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


Group.group_class = Group
