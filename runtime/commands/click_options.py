"""Options as click options, and their values merged: defaults, baked in, given."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.errors import AppError
from runtime.host.std_streams import notify
from runtime.options import fallback
from runtime.options.registry import SPECS, Options, from_file
from runtime.options.serving import ServeOptions, server_defaults
from runtime.options.spec import Spec, specs_of

MODEL_SPECIFIC = ("chat_template", "lora")
"""Options that are about one model, and say nothing about another."""
CHAT_ONLY = ("session", "color", "markdown", "stats")
"""Options that mean nothing to a server."""
Defaults = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Returns a command's own defaults, given what overrides them."""


def chat_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a chat to a command; what is not given stays None."""
    serving = specs_of(ServeOptions)
    return some_options(*(name for name in SPECS if name not in serving))(command)


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a server to a command."""
    names = (name for name in SPECS if name not in CHAT_ONLY)
    return some_options(*names, defaults=server_defaults({}))(command)


def some_options(
    *names: str, defaults: Mapping[str, Any] = {}
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options called `names`.

    Their help shows the command's own `defaults` where they differ from the options'.
    """

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(names):
            spec = SPECS[name]
            command = _click_option(spec, defaults.get(name, spec.default))(command)
        return command

    return add


def _click_option(spec: Spec, default: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the click option for an option; its help names the `default`."""
    hidden = default == "" or spec.type in (bool, tuple)
    shown = "" if hidden else f" (default: {default})"
    arguments: dict[str, Any] = {"default": None, "help": spec.help + shown}
    declarations = [spec.name, *spec.flags]
    if spec.type is bool:
        others = [flag for flag in spec.flags if flag != spec.long_flag]
        declarations = [spec.name, f"{spec.long_flag}/--no-{spec.long_flag[2:]}", *others]
    elif spec.choices:
        arguments["type"] = click.Choice(spec.choices)
    elif spec.type is tuple:
        arguments |= {"multiple": True, "metavar": spec.metavar}
    else:
        arguments |= {"type": spec.type, "metavar": spec.metavar}
    return click.option(*declarations, **arguments)


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the choice of the model."""
    command = click.option(
        "--embedded/--no-embedded", default=None, help="insist on the model inside this file"
    )(command)
    return click.option(
        "--model", "-m", type=click.Path(path_type=Path), metavar="FILE",
        help="use this model: a GGUF, or another file made by modelembed",
    )(command)  # fmt: skip


def merged_options(
    bundle: Bundle | None,
    given: Mapping[str, Any],
    model: Path | None,
    defaults: Defaults = lambda _: {},
) -> Options:
    """Return the options: the command's `defaults`, then baked in, then given; the last one wins.

    What was baked in for the embedded model alone is not for another `model`.
    """
    baked = dict(bundle.manifest.defaults) if bundle else {}
    baked.pop("gpu_layers", None)  # no build can use them; who starts it did not ask for them
    if model:
        others = {key: value for key, value in baked.items() if key not in MODEL_SPECIFIC}
        baked = {**others, **_model_specific(model)}
    chosen = {key: from_file(key, value) for key, value in given.items() if value not in (None, ())}
    options = Options(**defaults({**baked, **chosen}))
    options = options.merged(baked, "baked-in ").merged(chosen, "")
    if "fallback_on_error" not in chosen and fallback.names_no_server(vars(options)):
        # Older releases baked it in by itself, and whoever got that file cannot mend it.
        notify("fallback_on_error is baked in, but no server is named: it is off")
        return dataclasses.replace(options, fallback_on_error=False)
    return options


def _model_specific(path: Path) -> dict[str, Any]:
    """Return what was baked in for the model in `path`, where that is a bundle."""
    # What is wrong with the file is said where it is opened to be used.
    with contextlib.suppress(AppError, OSError):
        if found := bundle_file.find(path):
            found.close()
            defaults = found.manifest.defaults
            return {key: defaults[key] for key in MODEL_SPECIFIC if key in defaults}
    return {}
