"""All options of a produced executable, and the checks on their values.

One registry serves the command line, the baked-in defaults (`bundle --set`, `--config`) and the
checks on both. Flags have llama.cpp's names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import UsageError
from runtime.host.user_files import exists, read_text
from runtime.options.conversation import ConversationOptions
from runtime.options.display import DisplayOptions
from runtime.options.fallback import FallbackOptions
from runtime.options.loading import LoadingOptions
from runtime.options.sampling import SamplingOptions
from runtime.options.serving import ServeOptions
from runtime.options.spec import Spec, specs_of

INT_MAX = 2**31 - 1  # the engine's integers
TRUE, FALSE = ("true", "yes", "on", "1", "t"), ("false", "no", "off", "0", "f")


@dataclass(frozen=True)
class Options(
    ConversationOptions,
    LoadingOptions,
    FallbackOptions,
    DisplayOptions,
    ServeOptions,
    SamplingOptions,
):
    """The options of one run; of built-in default, baked-in default and flag the last wins."""

    def without_constraints(self) -> Options:
        """Return the same without grammar and schema: for answers that nobody reads."""
        return dataclasses.replace(self, grammar="", json_schema="")

    def merged(self, values: Mapping[str, Any], origin: str) -> Options:
        """Return these options with `values` over them, checked; `origin` names their source.

        It is put before an option's name; empty, the values are from flags, and so are the names.
        """
        return dataclasses.replace(
            self,
            **{
                key: check(key, value, f"{origin}{key}" if origin else flag(key))
                for key, value in values.items()
            },
        )


SPECS: Mapping[str, Spec] = {
    name: spec
    for group in (
        ConversationOptions,
        LoadingOptions,
        FallbackOptions,
        DisplayOptions,
        ServeOptions,
        SamplingOptions,
    )
    for name, spec in specs_of(group).items()
}
"""All options by name, in the order of the help."""


def flag(key: str) -> str:
    """Return the long flag of option `key`."""
    return SPECS[key].long_flag if key in SPECS else f"--{key}"


def canonical(key: str, path: str = "") -> str:
    """Return the option that `key` names, by any of its names; raise UsageError otherwise."""
    wanted = key.strip().lstrip("-").replace("-", "_")
    for item in SPECS.values():
        if item.baked and (wanted == item.name or wanted in item.aliases):
            return item.name
    known = [name for name, item in SPECS.items() if item.baked]
    aliases = [alias for name in known for alias in SPECS[name].aliases]
    close = difflib.get_close_matches(wanted, [*known, *aliases], 1)
    raise UsageError(
        f"there is no option '{path or key}'",
        hint=f"did you mean '{close[0]}'?" if close else "the options: " + ", ".join(known),
    )


def check(key: str, value: Any, path: str) -> Any:
    """Return `value` as option `key` takes it; raise UsageError naming `path` otherwise."""
    item = SPECS.get(key)
    if item is None:
        raise UsageError(f"there is no option '{path}'", hint="this bundle needs a newer runtime")
    wanted = item.type
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # left as it is, and refused below
            value = float(value)
    if wanted is tuple and isinstance(value, list):  # as JSON has it
        value = tuple(value)
    if (
        not isinstance(value, wanted)
        or (wanted is int and isinstance(value, bool))
        or (wanted is tuple and not all(isinstance(part, str) for part in value))
    ):
        raise UsageError(
            f"'{path}' is {_shown(value)}, expected {_describe(item)}", hint=f"it is: {_help(item)}"
        )
    low, high, choices = item.low, item.high, item.choices
    if wanted is int and high is None:
        high = INT_MAX
    if (
        (isinstance(value, float) and not math.isfinite(value))
        or (low is not None and value < low)
        or (high is not None and value > high)
        or (choices and value not in choices)
    ):
        raise UsageError(
            f"'{path}' is {_shown(value)}, expected {_describe(item)}", hint=f"it is: {_help(item)}"
        )
    return value


def parse(key: str, text: str, path: str = "") -> Any:
    """Return the value of option `key` that `text` spells."""
    item = SPECS[key]
    wanted = item.type
    path = path or key
    value: Any = text
    try:
        if wanted is bool:
            if text.lower() not in TRUE + FALSE:
                raise ValueError
            value = text.lower() in TRUE
        elif wanted is tuple:
            value = (text,)
        elif wanted is not str:
            value = wanted(text)
    except ValueError:
        raise UsageError(
            f"'{path}' is {text!r}, expected {_describe(item)}", hint=f"it is: {_help(item)}"
        ) from None
    return check(key, value, path)


def from_file(key: str, value: Any, folder: Path = Path()) -> Any:
    """Return what option `key` is to be: `value`, or the text of the file that it names.

    A relative name is one below `folder`. Raise UsageError where the file cannot be read.
    """
    how = SPECS[key].file
    if not how or not isinstance(value, str):
        return value
    if value.startswith("@"):
        return read_text(folder / os.path.expanduser(value[1:]))
    path = folder / value
    # A template's text has braces, and is no file's name.
    if how == "FILE" and "{" not in value and exists(path) and path.is_file():
        return read_text(path)
    return value


def from_pairs(pairs: Iterable[str]) -> dict[str, Any]:
    """Return the options that KEY=VALUE words set; raise UsageError for what does not exist.

    An option that takes many values takes them from as many words.
    """
    result: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"'{pair}' is not KEY=VALUE", hint="for example --set temp=0.2")
        option = canonical(key)
        parsed = parse(option, from_file(option, value), f"--set {key}")
        if SPECS[option].type is tuple:
            parsed = result.get(option, ()) + parsed
        result[option] = parsed
    return result


def _describe(item: Spec) -> str:
    """Return what an option takes, for a message."""
    low, high, choices = item.low, item.high, item.choices
    if choices:
        return " or ".join(choices)
    names = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        tuple: "a list of texts",
    }
    text = names[item.type]
    if low is not None and high is not None:
        return f"{text} from {_number(low)} to {_number(high)}"
    return f"{text} of at least {_number(low)}" if low is not None else text


def _number(value: float) -> str:
    return f"{int(value)}" if value == int(value) else f"{value:g}"


def _shown(value: Any) -> str:
    """Return a wrong value as the file or the command line had it."""
    words = {None: "null", True: "true", False: "false"}
    plain = value is None or isinstance(value, bool)
    return words[value] if plain else repr(value)


def _help(item: Spec) -> str:
    return item.help
