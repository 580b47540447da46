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
HELP_FLAGS = ("-h", "--help")
TYPO_SIMILARITY = 0.75
"""Smallest similarity (difflib ratio) of a word and a command's name to be taken for a typo."""

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


class DefaultGroup(Group):
    """A group that runs its `chat` command if no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `chat` unless the first argument is a command, --help or --version."""
        if not args or (args[0] not in self.commands and args[0] not in (*HELP_FLAGS, "--version")):
            self._note_possible_typo(args)
            args = ["chat", *args]
        return super().parse_args(ctx, args)

    def _note_possible_typo(self, args: list[str]) -> None:
        """Note on stderr that a one-word question may be a mistyped command."""
        if not args or args[0].startswith("-") or (args[1:] and not args[1].startswith("-")):
            return
        named = [name for name, command in self.commands.items() if not command.hidden]
        for close in difflib.get_close_matches(args[0], named, 1, TYPO_SIMILARITY):
            click.echo(
                f"note: '{args[0]}' is taken as a question; did you mean the command {close}?",
                err=True,
            )

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write usage lines in which the command is optional."""
        formatter.write_usage(ctx.command_path, "[chat] [OPTIONS] [QUESTION]…")
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS]")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of `chat`, which also apply without naming it, and the commands."""
        chat = self.commands["chat"]
        with click.Context(chat, ctx, info_name="chat") as inner:
            chat.format_options(inner, formatter)
        self.format_commands(ctx, formatter)
        own = [record for option in self.params if (record := option.get_help_record(ctx))]
        with formatter.section("Of the program"):
            formatter.write_dl(own)
