"""The description of one option, beside the default value that it describes."""

from __future__ import annotations

import dataclasses
from typing import Any

KEY = "spec"


@dataclasses.dataclass(frozen=True)
class Spec:
    """What the command line, config files and checks need to know of an option."""

    name: str
    """As a field of `Options`, in config files and after --set."""
    default: Any
    flags: tuple[str, ...]
    """Command-line flags; at least one is long."""
    help: str
    low: float | None
    """Smallest value, None for no bound."""
    high: float | None
    """Largest value, None for no bound."""
    metavar: str
    choices: tuple[str, ...]
    """All values that a text may have; empty for any."""
    aliases: tuple[str, ...]
    """Other names in config files and after --set."""
    baked: bool
    """Whether it may be baked in."""
    file: str
    """How a file's name is told from a text: "@FILE", "FILE" for either; empty for never."""

    @property
    def type(self) -> type[Any]:
        """Return the Python type of its values: str, int, float, bool or tuple (of str)."""
        return type(self.default)

    @property
    def long_flag(self) -> str:
        """Return its first flag with two dashes."""
        return next(flag for flag in self.flags if flag.startswith("--"))


def option(
    default: Any,
    *flags: str,
    help: str,
    low: float | None = None,
    high: float | None = None,
    metavar: str = "",
    choices: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    baked: bool = True,
    file: str = "",
) -> Any:
    """Return a dataclass field with a Spec; its name is the field's."""
    spec = Spec("", default, flags, help, low, high, metavar, choices, aliases, baked, file)
    return dataclasses.field(default=default, metadata={KEY: spec})


def specs_of(group: type[Any]) -> dict[str, Spec]:
    """Return the specs of a dataclass's own fields by name, in their order."""
    return {
        item.name: dataclasses.replace(item.metadata[KEY], name=item.name)
        for item in dataclasses.fields(group)
    }
