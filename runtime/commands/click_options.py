"""Decorators that add options to click commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from runtime.options.escapes import unescaped
from runtime.options.registry import SPECS, wrong_on_command_line
from runtime.options.serving import SERVER_DEFAULTS, ServingOptions
from runtime.options.spec import Spec, specs
from runtime.options.terminal import TerminalOptions

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

SERVER_ONLY = tuple(specs(ServingOptions))
CHAT_ONLY = tuple(specs(TerminalOptions))


def chat_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a chat to a command; those not given are None."""
    return _all(name for name in SPECS if name not in SERVER_ONLY)(command)


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a server to a command; those not given are None."""
    return _all((name for name in SPECS if name not in CHAT_ONLY), SERVER_DEFAULTS)(command)


def tool_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a tool for agents to a command; those not given are None."""
    return _all(name for name in SPECS if name not in (*SERVER_ONLY, *CHAT_ONLY))(command)


def escape_option(texts: str) -> Decorator:
    """Return a decorator that adds --escape, which counts for `texts`; see read_escapes."""
    return click.option(
        "--escape/--no-escape", "-e/ ", default=True, help=f"read \\n and the like in {texts}"
    )


def read_escapes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return flags with escapes read in the options that have them, all of them lists of texts."""
    return {
        key: tuple(map(unescaped, value)) if value and SPECS[key].escapes else value
        for key, value in given.items()
    }


def options_named(*names: str) -> Decorator:
    """Return a decorator that adds the options `names`."""
    return _all(names)


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose the model: --model and --embedded."""
    command = click.option(
        "--embedded/--no-embedded",
        default=None,
        help="use the model in this file, and fail if there is none",
    )(command)
    return click.option(
        "--model",
        "-m",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="model to use: a GGUF file, or another program made by modelembed",
    )(command)


def _all(names: Iterable[str], defaults: Mapping[str, Any] = {}) -> Decorator:
    """Return a decorator that adds options; help shows `defaults` instead of their own."""
    chosen = list(names)

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(chosen):  # click lists the last one added first
            spec = SPECS[name]
            command = _option(name, spec, defaults.get(name, spec.default))(command)
        return command

    return add


def _option(name: str, spec: Spec, default: Any) -> Decorator:
    """Return the click option `name`; its help ends with its default, if it has one."""
    default = next((word for word, value in spec.words.items() if value == default), default)
    hidden = default == "" or spec.python_type in (bool, tuple)
    help_text = spec.help if hidden else f"{spec.help} (default: {default})"
    flags = spec.flags
    arguments: dict[str, Any] = {"metavar": spec.metavar}
    if spec.python_type is bool:
        long = spec.long_flag
        flags = (f"{long}/--no-{long[2:]}", *(flag for flag in flags if flag != long))
        arguments = {}
    elif spec.spellings:  # click knows the choices alone; check() knows them too
        arguments = {"type": str, "metavar": f"[{'|'.join(spec.choices)}]"}
    elif spec.choices:
        arguments = {"type": click.Choice(spec.choices)}
    elif spec.python_type is tuple:
        arguments["multiple"] = True
    elif spec.python_type in (int, float):
        arguments["type"] = _Number(name, spec)
    else:
        arguments["type"] = spec.python_type
    return click.option(name, *flags, default=None, help=help_text, **arguments)


class _Number(click.ParamType[float]):
    """A number, or one of a few words for some; what is wrong is told as of one out of bounds."""

    name = "number"

    def __init__(self, key: str, spec: Spec) -> None:
        self._key, self._spec = key, spec

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if value in self._spec.words:
            return self._spec.words[value]
        try:
            found: float = self._spec.python_type(value)
        except ValueError:
            raise wrong_on_command_line(self._key, value) from None
        return found
