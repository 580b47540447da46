"""Exit status of a command line, and the error message on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
from click.exceptions import NoArgsIsHelpError

from runtime.errors import AppError, UsageError
from runtime.host.interrupts import INTERRUPTED
from runtime.host.std_streams import discard_stdout


class Failed(Exception):
    """A check failed, and its result has been printed: exit status 1 without an error message."""


def exit_status_of(work: Callable[[], object], *, verbose: bool, interrupted: str = "") -> int:
    """Run `work` and return the exit status. The only place that catches AppError.

    With `verbose`, unexpected exceptions are raised. `interrupted` is printed after Ctrl-C.
    """
    try:
        work()
        sys.stdout.flush()  # now, since an error in the flush at exit would not be explained
    except Failed:
        return 1
    except NoArgsIsHelpError as exc:  # no command was named: show the list
        exc.show(sys.stderr)
        return exc.exit_code
    except (KeyboardInterrupt, click.Abort):
        print(f"\n{interrupted}" if interrupted else "", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader closed the pipe
        discard_stdout()
        return 1
    except Exception as exc:
        error = as_app_error(exc)
        if verbose and not isinstance(exc, (AppError, click.ClickException, MemoryError)):
            raise
        print(error.render(), file=sys.stderr)
        if isinstance(exc, OSError):
            discard_stdout()
        return error.exit_code
    return 0


def as_app_error(exc: Exception) -> AppError:
    """Return any exception as an AppError, with a hint."""
    if isinstance(exc, AppError):
        return exc
    if isinstance(exc, click.ClickException):
        return _from_click(exc)
    if isinstance(exc, MemoryError):
        return AppError(
            "the memory ran out",
            hint="close other programs, or use a machine with more memory; in a chat, a smaller "
            "context helps: -c",
        )
    if isinstance(exc, OSError):
        return _from_os_error(exc)
    return AppError(
        f"something unexpected happened: {type(exc).__name__}: {exc}",
        hint="this is a bug; the same command with -v shows where, please report that",
    )


def _from_click(exc: click.ClickException) -> AppError:
    """Return the AppError for an error that click found in the command line."""
    close: list[str] = getattr(exc, "possibilities", None) or []
    said = exc.message if close else exc.format_message()
    problem = said[:1].lower() + said[1:].rstrip(".")
    if not isinstance(exc, click.UsageError):
        return AppError(problem)
    command = f"{exc.ctx.command_path} " if exc.ctx else ""  # missing in errors of click's parser
    hint = f"did you mean '{close[0]}'?" if close else f"{command}--help shows what there is"
    return UsageError(problem, hint=hint)


def _from_os_error(exc: OSError) -> AppError:
    """Return the AppError for an OSError that no other code has explained."""
    why = exc.strerror or str(exc)
    try:
        Path.cwd()
    except OSError:
        return AppError(
            "the folder that this was started in does not exist any more",
            hint="go to another one: cd",
        )
    if exc.filename is not None:
        name = os.fsdecode(exc.filename) if not isinstance(exc.filename, int) else "a file"
        return AppError(
            f"{name} cannot be used: {why}",
            hint="check that it exists, its permissions, and the space on its disk; -v shows where "
            "it was needed",
        )
    try:  # Python discards output that it could not write, so try again
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        return AppError(
            f"what was to be printed cannot be written: {why}",
            hint="see to where the output goes: the disk may be full, or it was closed",
        )
    return AppError(f"the system refused something: {why}", hint="-v shows where that was needed")
