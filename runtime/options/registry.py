"""All options of a produced executable: the class `Options`, its checks, and its parsers.

The same options come from the command line, from baked-in defaults and from config files
(`bundle --set`, `--config`). Flags are llama.cpp's, where it has them.
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

from runtime import bounds
from runtime.errors import UsageError
from runtime.host.user_files import exists, read_text
from runtime.options.conversation import ConversationOptions
from runtime.options.documents import DocumentOptions
from runtime.options.escapes import unescaped
from runtime.options.fallback import FallbackOptions
from runtime.options.loading import LoadingOptions
from runtime.options.sampling import SamplingOptions
from runtime.options.serving import ServingOptions
from runtime.options.spec import Spec, specs
from runtime.options.terminal import TerminalOptions

TRUE, FALSE = ("true", "yes", "on", "1", "t"), ("false", "no", "off", "0", "f")


# Fields come in the reverse order of the bases; the help shows them in the order of the fields.
@dataclass(frozen=True)
class Options(
    SamplingOptions,
    FallbackOptions,
    LoadingOptions,
    DocumentOptions,
    TerminalOptions,
    ConversationOptions,
    ServingOptions,
):
    """The options of one run. By rising precedence: defaults, baked-in defaults, flags."""

    def without_constraints(self) -> Options:
        """Return a copy without grammar and JSON schema, for internal answers."""
        return dataclasses.replace(self, grammar="", json_schema="")

    def merged(self, values: Mapping[str, Any], source: str) -> Options:
        """Return a copy overridden by `values`; raise UsageError where one is wrong.

        `source` is where they come from, for messages; see checked().
        """
        return dataclasses.replace(self, **checked(values, source))


SPECS: Mapping[str, Spec] = specs(Options)
"""Every option by name, in the order of the help."""
BAKEABLE = tuple(name for name, spec in SPECS.items() if spec.baked)
"""The options that a program can have baked in."""


def long_flag(key: str) -> str:
    """Return the long flag of option `key`, which need not exist."""
    return SPECS[key].long_flag if key in SPECS else f"--{key}"


def resolve_name(key: str, path: str = "") -> str:
    """Return the name of the bakeable option that `key` is a name or an alias of.

    Raise UsageError, which calls it `path`, where there is none.
    """
    wanted = key.strip().lstrip("-").replace("-", "_")
    for name in BAKEABLE:
        if wanted == name or wanted in SPECS[name].aliases:
            return name
    aliases = [alias for name in BAKEABLE for alias in SPECS[name].aliases]
    close = difflib.get_close_matches(wanted, [*BAKEABLE, *aliases], 1)
    raise UsageError(
        f"there is no option '{path or key}'",
        hint=f"did you mean '{close[0]}'?" if close else "the options: " + ", ".join(BAKEABLE),
    )


def checked(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return option `values` by name, each as check() returns it.

    In messages `source` stands before an option's name; empty, the values are from the command
    line, and options are called by their flags.
    """
    return {
        key: check(key, value, f"{source}{key}" if source else long_flag(key))
        for key, value in values.items()
    }


def check(key: str, value: Any, path: str) -> Any:
    """Return `value` in the Python type of option `key`; raise UsageError naming `path`."""
    spec = SPECS.get(key)
    if spec is None:
        raise UsageError(f"there is no option '{path}'", hint="this bundle needs a newer runtime")
    if spec.python_type is float and isinstance(value, int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # left as it is, and refused below
            value = float(value)
    if spec.python_type is tuple and isinstance(value, list):  # as JSON has it
        value = tuple(value)
    if spec.spellings:
        value = spec.spellings.get(value if isinstance(value, str) else _as_typed(value), value)
    if spec.words and isinstance(value, str):
        value = spec.words.get(value, value)
    if not _has_type(spec, value) or not _is_allowed(spec, value):
        raise _wrong(spec, _as_typed(value), path)
    return value


def parse(key: str, text: str, path: str = "") -> Any:
    """Return the value of option `key` that `text` spells; raise UsageError naming `path`."""
    spec = SPECS[key]
    path = path or key
    value: Any = text
    try:
        if spec.python_type is bool:
            if text.lower() not in TRUE + FALSE:
                raise ValueError
            value = text.lower() in TRUE
        elif spec.python_type is tuple:
            value = (text,)
        elif spec.python_type is not str and text not in spec.words:
            value = spec.python_type(text)
    except ValueError:
        raise _wrong(spec, repr(text), path) from None
    return check(key, value, path)


def from_file(key: str, value: Any, folder: Path = Path()) -> Any:
    """Return `value`, or the text of the file if it names one in the way option `key` allows.

    A relative name is one below `folder`. Raise UsageError where the file cannot be read.
    """
    syntax = SPECS[key].file
    if not syntax or not isinstance(value, str):
        return value
    if value.startswith("@"):
        return read_text(folder / os.path.expanduser(value[1:]))
    path = folder / value
    # Jinja text has braces, and is no file's name.
    if syntax == "FILE|@FILE" and "{" not in value and exists(path) and path.is_file():
        return read_text(path)
    return value


def from_pairs(pairs: Iterable[str]) -> dict[str, Any]:
    """Return the options set by KEY=VALUE arguments; raise UsageError where one is wrong.

    An option that is a list gets one more value from every argument that names it.
    """
    result: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"'{pair}' is not KEY=VALUE", hint="for example --set temp=0.2")
        option = resolve_name(key)
        if SPECS[option].escapes:
            value = unescaped(value)
        parsed = parse(option, from_file(option, value), f"--set {key}")
        if SPECS[option].python_type is tuple:
            parsed = result.get(option, ()) + parsed
        result[option] = parsed
    return result


def _has_type(spec: Spec, value: Any) -> bool:
    if spec.python_type is int and isinstance(value, bool):  # which Python takes for an int
        return False
    if not isinstance(value, spec.python_type):
        return False
    return spec.python_type is not tuple or all(isinstance(part, str) for part in value)


def _is_allowed(spec: Spec, value: Any) -> bool:
    """Return whether a value of the right type is within bounds and among the choices."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    high = bounds.INTEGER if spec.high is None and spec.python_type is int else spec.high
    return (
        (spec.low is None or value >= spec.low)
        and (high is None or value <= high)
        and (not spec.choices or value in spec.choices)
    )


def wrong_on_command_line(key: str, text: str) -> UsageError:
    """Return the error for an option's value that is not of its type."""
    return _wrong(SPECS[key], repr(text), long_flag(key))


def _wrong(spec: Spec, shown: str, path: str) -> UsageError:
    return UsageError(
        f"'{path}' is {shown}, expected {spec.expected}", hint=f"{spec.long_flag}: {spec.help}"
    )


def _as_typed(value: Any) -> str:
    """Return a value as it is spelled in a config file or on the command line."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else repr(value)
