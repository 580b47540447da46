"""Arguments as other programs spell them, rewritten to what click takes.

Go's flags (-embedded, -i=false, -n=5) and llama.cpp's (--grammar-file F, a bare --color) work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from runtime.errors import UsageError
from runtime.options.registry import FALSE, TRUE

ASSIGNMENT = re.compile(r"(-{1,2}([A-Za-z][\w-]*))=(.*)", re.S)
FREE_TEXT = ("-p", "--prompt", "-sys", "--system", "--system-prompt", "--greeting")
"""Flags whose value may look like a flag."""
SWITCHES = {"i": "interactive", "interactive": "interactive", "embedded": "embedded"}
COLOR_FLAGS = ("-co", "--color")
COLOR_VALUES = {
    **{word: "on" for word in ("on", "always", "yes")},
    **{word: "off" for word in ("off", "never", "no")},
    "auto": "auto",
}
"""What other programs call the values of --color."""
FILE_FLAGS = {
    "--grammar-file": "--grammar",
    "--json-schema-file": "--json-schema",
    "-jf": "--json-schema",
}
"""llama.cpp's flags for what comes from a file; here a file is @FILE everywhere."""


class Argument(NamedTuple):
    """One argument, with its neighbours; empty where there is none."""

    text: str
    before: str
    after: str


def normalized(arguments: Sequence[str]) -> list[str]:
    """Return `arguments` in click's spelling; what follows `--` is left alone.

    Raise UsageError where a switch is given something that is neither true nor false.
    """
    result: list[str] = []
    for index, text in enumerate(arguments):
        if text == "--":
            return [*result, *arguments[index:]]
        before = arguments[index - 1] if index else ""
        after = arguments[index + 1] if index + 1 < len(arguments) else ""
        result += _rewritten(Argument(text, before, after))
    return result


def _rewritten(argument: Argument) -> list[str]:
    if argument.before not in FREE_TEXT:
        for rule in RULES:
            if (found := rule(argument)) is not None:
                return found
    return [argument.text]


def _file_flag(argument: Argument) -> list[str] | None:
    """--grammar-file F, --grammar-file=F."""
    match = ASSIGNMENT.fullmatch(argument.text)
    if match and match[1] in FILE_FLAGS:
        return [FILE_FLAGS[match[1]], f"@{match[3]}"]
    if argument.before in FILE_FLAGS:
        return [f"@{argument.text}"]
    return [FILE_FLAGS[argument.text]] if argument.text in FILE_FLAGS else None


def _switch(argument: Argument) -> list[str] | None:
    """-embedded, -i=false, --embedded=true."""
    if argument.text == "-embedded":
        return ["--embedded"]
    match = ASSIGNMENT.fullmatch(argument.text)
    if not match or match[2] not in SWITCHES:
        return None
    name, value = SWITCHES[match[2]], match[3].lower()
    if value not in TRUE + FALSE:
        raise UsageError(f"'{argument.text}' is neither true nor false")
    return [f"--{name}" if value in TRUE else f"--no-{name}"]


def _color(argument: Argument) -> list[str] | None:
    """--color, --color=never."""
    match = ASSIGNMENT.fullmatch(argument.text)
    if match and match[1] in COLOR_FLAGS:
        return [match[1], COLOR_VALUES.get(match[3], match[3])]
    if argument.text in COLOR_FLAGS:
        return [argument.text] if argument.after in COLOR_VALUES else [argument.text, "on"]
    return None


def _color_value(argument: Argument) -> list[str] | None:
    """--color always, its value an argument of its own."""
    if argument.before in COLOR_FLAGS:
        return [COLOR_VALUES.get(argument.text, argument.text)]
    return None


def _single_dash_assignment(argument: Argument) -> list[str] | None:
    """-n=5, -temp=0.2."""
    match = ASSIGNMENT.fullmatch(argument.text)
    return [match[1], match[3]] if match and not match[1].startswith("--") else None


RULES: tuple[Callable[[Argument], list[str] | None], ...] = (
    _file_flag,
    _switch,
    _color,
    _single_dash_assignment,
    _color_value,
)
"""The first that applies rewrites an argument."""
