"""Base classes of commands: each has -v, which shows the traceback of a bug.

Options with one dash and several letters, as llama.cpp has them, are known whole or not at all.
"""

from __future__ import annotations

import difflib
import re
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


NUMBER = re.compile(r"-?[.\d]")


class Command(click.Command):
    """A command with -v, unless it has another option with that flag."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add -v."""
        super().__init__(*args, **kwargs)
        if not any(VERBOSE_FLAGS[0] in parameter.opts for parameter in self.params):
            verbose_option(self)

    def make_parser(self, ctx: click.Context) -> Any:
        """Return click's parser, which refuses an unknown word after one dash.

        click would take `-no-such` for `-n` with the value `o-such`. Of what stands close to a
        flag, only numbers are its value (`-n5`), and only switches can stand together (`-iv`).
        """
        parser: Any = super().make_parser(ctx)
        shorts, match = parser._short_opt, parser._match_short_opt

        def match_strictly(argument: str, state: Any) -> None:
            first = shorts.get(argument[:2])
            number = first and first.takes_value and NUMBER.match(argument, 2)
            switches = all(
                (flag := shorts.get(f"-{letter}")) and not flag.takes_value
                for letter in argument[1:]
            )
            if len(argument) > 2 and not number and not switches:
                known = [*parser._long_opt, *shorts]
                close = difflib.get_close_matches(argument.partition("=")[0], known)
                raise click.NoSuchOption(argument, possibilities=close, ctx=ctx)
            match(argument, state)

        parser._match_short_opt = match_strictly
        return parser


class Group(click.Group):
    """A group of such commands and groups."""

    command_class = Command


Group.group_class = Group
