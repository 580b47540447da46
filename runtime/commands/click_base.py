"""Base classes of commands: each has -v, which shows the traceback of a bug."""

from __future__ import annotations

from typing import Any

import click

VERBOSE_FLAGS = ("--verbose", "-v")
"""Looked for among all arguments, so that they count wherever they stand; see exit_status_of."""

verbose_option = click.option(
    *VERBOSE_FLAGS,
    is_flag=True,
    expose_value=False,
    help="show a traceback of unexpected failures",
)


class Command(click.Command):
    """A command with -v, unless it has another option with that flag."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add -v."""
        super().__init__(*args, **kwargs)
        if not any(VERBOSE_FLAGS[0] in parameter.opts for parameter in self.params):
            verbose_option(self)


class Group(click.Group):
    """A group of such commands and groups."""

    command_class = Command


Group.group_class = Group
