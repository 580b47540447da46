"""Option `--mmproj` of `bundle`: the projector by which the model takes pictures or sound."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.errors import UsageError

if TYPE_CHECKING:
    from bundler.commands.config_file import Config
    from bundler.model.projectors import Projector
    from bundler.model.split_files import Opened

Command = Callable[..., None]
AUTO, NONE = "auto", "none"


def for_projector(command: Command) -> Command:
    """Add the option to a command, which gets a word as `mmproj`, or None."""
    return click.option(
        "--mmproj",
        metavar="auto|FILE|none",
        help="add a projector (GGUF), by which the model takes pictures or sound (default: auto, "
        "which asks whether to take the one beside the model)",
    )(command)


def projector_of(
    word: str | None, given: Config, model: Opened, say: Callable[[str], None]
) -> Projector | None:
    """Return the projector to bundle with `model`: by the option's `word`, or the config file's.

    Raise GGUFError if the one named is none or does not fit, and UsageError if there should be one
    and is not.
    """
    wanted = given.supports_images
    if word not in (None, AUTO, NONE):
        wanted = wanted or None  # a file that is named here wins over what the other one says
    word = word or given.mmproj or AUTO
    if word == NONE or (wanted is False and word == AUTO):
        if wanted:
            raise _contradiction()
        return None
    from bundler.model import projectors  # its own modules only: most models have none

    if word != AUTO:
        found = projectors.load(Path(word), model)
        if wanted is False and found.traits.sees:
            raise _contradiction()
        if wanted and not found.traits.sees:
            raise UsageError(
                f"'supports_images' is true, and {word} takes {found.traits.takes} alone",
                hint="give a projector that takes pictures, or leave that key out",
            )
        return found
    near = [one for one in projectors.beside(model) if one.traits.sees or not wanted]
    if wanted and not near:
        raise UsageError(
            f"'supports_images' is true, and no projector for pictures lies beside {model.path}",
            hint='name it: --mmproj FILE, or in the config file "mmproj": "FILE"',
        )
    if not near:
        return None
    if wanted or _agreed(near[0], near, say):
        return near[0]
    return None


def _agreed(best: Projector, near: list[Projector], say: Callable[[str], None]) -> bool:
    """Return whether the user wants the projector that lies beside the model; ask, if possible."""
    path, takes = best.opened.path, best.traits.takes
    others = [one.opened.path.name for one in near[1:]]
    also = f" (and {', '.join(others)})" if others else ""
    if sys.stdin.isatty() and sys.stderr.isatty():
        say(f"{path.name} lies beside the model{also}: with it, the program takes {takes}")
        return click.confirm("Add it?", default=True, err=True)
    say(
        f"note: {path} lies beside the model{also}, by which it takes {takes}: it is left out, "
        f"--mmproj {path} adds it"
    )
    return False


def _contradiction() -> UsageError:
    return UsageError(
        "'supports_images' and the projector contradict each other",
        hint="leave out 'supports_images', which then is as the projector is",
    )
