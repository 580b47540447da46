"""Commands of the programs that are made: whoever asks `modelembed` for one is told where it is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from runtime.commands import click_base
from runtime.errors import UsageError
from runtime.host.user_files import exists


class Group(click_base.Group):
    """The commands of `modelembed`, which knows those of the programs by name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return a command and its arguments; raise UsageError if it is one of the programs'."""
        if args[0] not in self.commands:
            # Here, since all other commands can do without.
            from runtime.commands.main import main as program

            command = program.commands.get(args[0])
            if command and not command.hidden:
                raise UsageError(
                    f"'{args[0]}' is a command of the programs that {ctx.command_path} makes",
                    hint=_as_asked(args[0], args[1:]),
                )
        return super().resolve_command(ctx, args)


def _as_asked(command: str, words: Sequence[str]) -> str:
    """Return how a program is asked for a command, by its name if that is among the words."""
    rest = list(words)
    for word in words:
        if not word.startswith("-") and exists(Path(word)) and Path(word).is_file():
            rest.remove(word)
            path = word if "/" in word else f"./{word}"
            return f"ask that program: {shlex.join([path, command, *rest])}"
    return f"ask the program itself: ./PROGRAM {command}"
