"""The description of one option: its default, flags, bounds and help text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal, TypeVar

Value = TypeVar("Value")
FileSyntax = Literal["", "@FILE", "FILE|@FILE"]
"""How a value names a file to read the text from: not at all, after an `@`, or also without."""

TYPE_NAMES: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple: "a list of texts",
}


@dataclass(frozen=True)
class Spec:
    """The properties of an option."""

    default: Any
    flags: tuple[str, ...]
    """Command-line flags; at least one is long (`--temp`)."""
    help: str
    low: float | None = None
    """The least value, itself allowed; None for no bound."""
    high: float | None = None
    """The greatest value, itself allowed; None for no bound."""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    """The only values allowed; empty for any."""
    spellings: Mapping[str, str] = field(default_factory=dict)
    """Other spellings of the choices, with what they stand for."""
    words: Mapping[str, int] = field(default_factory=dict)
    """Words for some numbers, which those may be spelled as."""
    aliases: tuple[str, ...] = ()
    """Other names that `--set` and config files accept."""
    baked: bool = True
    """Whether it can be baked in as a default, rather than given as a flag only."""
    file: FileSyntax = ""
    escapes: bool = False
    r"""Whether escapes such as \n are read where it is typed."""

    @property
    def python_type(self) -> type[Any]:
        """str, int, float, bool, or tuple for a list of texts."""
        return type(self.default)

    @property
    def long_flag(self) -> str:
        """The first long flag."""
        return next(flag for flag in self.flags if flag.startswith("--"))

    @property
    def expected(self) -> str:
        """The values that the option takes, in words."""
        if self.choices:
            return " or ".join(self.choices)
        name = TYPE_NAMES[self.python_type]
        if self.words:
            return f"{', '.join(self.words)} or {name}"
        if self.low is None:
            return name
        if self.high is None:
            return f"{name} of at least {_number(self.low)}"
        return f"{name} from {_number(self.low)} to {_number(self.high)}"


def option(
    default: Value,
    *flags: str,
    help: str,
    low: float | None = None,
    high: float | None = None,
    metavar: str = "",
    choices: tuple[str, ...] = (),
    spellings: Mapping[str, str] = {},
    words: Mapping[str, int] = {},
    aliases: tuple[str, ...] = (),
    baked: bool = True,
    file: FileSyntax = "",
    escapes: bool = False,
) -> Value:
    """Declare a dataclass field that carries a Spec."""
    spec = Spec(
        default, flags, help, low, high, metavar, choices, spellings, words, aliases, baked, file,
        escapes,
    )  # fmt: skip
    declared: Value = field(default=default, metadata={Spec: spec})
    return declared


def specs(group: type[Any]) -> dict[str, Spec]:
    """Return the options that the dataclass `group` declares, by name and in their order."""
    return {item.name: _spec(item) for item in fields(group)}


def _spec(item: Field[Any]) -> Spec:
    spec: Spec = item.metadata[Spec]
    return spec


def _number(value: float) -> str:
    return f"{int(value)}" if value == int(value) else f"{value:g}"
