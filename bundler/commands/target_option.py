"""Option `--target` of the commands that make something for a system."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from bundler.targets import TARGETS, Target

Command = TypeVar("Command", bound=Callable[..., object])


def for_target(command: Command) -> Command:
    """Add the option to a command, which gets a Target as `target`, or None."""
    return click.option(
        "--target",
        type=click.Choice(tuple(TARGETS)),
        callback=_target,
        metavar="NAME",
        help="make it for another system, such as linux-aarch64",
    )(command)


def _target(_: click.Context, __: click.Parameter, name: str | None) -> Target | None:
    return TARGETS[name] if name else None
