"""What click finds wrong with a command line, told as every other error is."""

from __future__ import annotations

import sys

import click
from click.exceptions import NoArgsIsHelpError

from runtime.errors import AppError, UsageError


def report(exc: click.ClickException) -> int:
    """Say on stderr what is wrong; return the exit code."""
    if isinstance(exc, NoArgsIsHelpError):  # who names no command gets the list of them
        exc.show(sys.stderr)
        return exc.exit_code
    error = told(exc)
    print(error.render(), file=sys.stderr)
    return error.exit_code


def told(exc: click.ClickException) -> AppError:
    """Return click's error as one of ours: what was found, then what to do."""
    close: list[str] = getattr(exc, "possibilities", None) or []
    said = exc.message if close else exc.format_message()
    problem = said[:1].lower() + said[1:].rstrip(".")
    if not isinstance(exc, click.UsageError):
        return AppError(problem)
    command = f"{exc.ctx.command_path} " if exc.ctx else ""  # click's parser does not know it
    hint = f"did you mean '{close[0]}'?" if close else f"{command}--help shows what there is"
    return UsageError(problem, hint=hint)
