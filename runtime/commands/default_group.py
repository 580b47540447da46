"""Group of commands of which one, `chat`, need not be named."""

from __future__ import annotations

import difflib

import click

from runtime.commands import click_base

HELP_FLAGS = ("-h", "--help")
TYPO_SIMILARITY = 0.75
"""Smallest similarity (difflib ratio) of a word and a command's name to be taken for a typo."""


class DefaultGroup(click_base.Group):
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
