"""Runtime options as flags of the command line, in all the spellings that people have."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.errors import AppError, UsageError
from runtime.host.std_streams import notify
from runtime.options import fallback
from runtime.options.registry import FALSE, FIELDS, TRUE, Options, from_file, kind
from runtime.options.serving import USUAL, ServeOptions

GO_STYLE = re.compile(r"-{1,2}([A-Za-z][\w-]*)=(.*)", re.S)
TEXT_FLAGS = ("-p", "--prompt", "-sys", "--system", "--system-prompt", "--greeting")
COLOR_FLAGS = ("-co", "--color")  # llama.cpp takes them bare, too
# llama.cpp has flags of their own for what comes from a file; here a file is @FILE everywhere.
FILE_FLAGS = {
    "--grammar-file": "--grammar",
    "--json-schema-file": "--json-schema",
    "-jf": "--json-schema",
}
SERVING = ServeOptions.__dataclass_fields__
OF_THE_MODEL = ("chat_template", "lora")
"""Options that are about a model, and say nothing about another one."""
CHATTING = ("session", "color", "markdown", "stats")
"""Options that mean nothing to a server."""
COLOR_VALUES = {
    **{word: "on" for word in ("on", "always", "yes")},
    **{word: "off" for word in ("off", "never", "no")},
    "auto": "auto",
}
"""What other programs call the values of --color, by what llama.cpp does."""


def normalized(arguments: Sequence[str]) -> list[str]:
    """Return `arguments` with Go's spellings (-embedded, -i=false, -n=5) in click's."""
    result: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            return [*result, *arguments[index:]]
        text = index and arguments[index - 1] in TEXT_FLAGS  # what follows is free text
        match = None if text else GO_STYLE.fullmatch(argument)
        if match and (name := argument.partition("=")[0]) in FILE_FLAGS:
            result += [FILE_FLAGS[name], f"@{match[2]}"]
        elif index and arguments[index - 1] in FILE_FLAGS:
            result.append(f"@{argument}")
        elif argument in FILE_FLAGS and not text:
            result.append(FILE_FLAGS[argument])
        elif argument == "-embedded":
            result.append("--embedded")
        elif match and match[1] in ("i", "embedded", "interactive"):
            name = {"i": "interactive"}.get(match[1], match[1])
            value = match[2].lower()
            if value not in TRUE + FALSE:
                raise UsageError(f"'{argument}' is neither true nor false")
            result.append(f"--{name}" if value in TRUE else f"--no-{name}")
        elif match and argument.partition("=")[0] in COLOR_FLAGS:
            result += [argument.partition("=")[0], COLOR_VALUES.get(match[2], match[2])]
        elif match and not argument.startswith("--"):
            result += [f"-{match[1]}", match[2]]
        elif argument in COLOR_FLAGS and not text:
            bare = index + 1 == len(arguments) or arguments[index + 1] not in COLOR_VALUES
            result += [argument, "on"] if bare else [argument]
        elif index and arguments[index - 1] in COLOR_FLAGS and not text:
            result.append(COLOR_VALUES.get(argument, argument))
        else:
            result.append(argument)
    return result


def runtime_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add a click option for what a chat goes by; what is not given stays None."""
    return some_options(*(name for name in FIELDS if name not in SERVING))(command)


def serving_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add a click option for what a server goes by."""
    names = (name for name in FIELDS if name not in CHATTING)
    return some_options(*names, usual=USUAL)(command)


def some_options(
    *names: str, usual: Mapping[str, Any] = {}
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the runtime options called `names`.

    Their help shows what is `usual` for the command where that is not the option's own default.
    """

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(names):
            item = FIELDS[name]
            command = _option(item, usual.get(name, item.default))(command)
        return command

    return add


def _option(
    item: dataclasses.Field[Any], default: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the click option for a runtime option; its help names the `default`."""
    meta = item.metadata
    unsaid = default in ("", None) or kind(item) in (bool, tuple)
    shown = "" if unsaid else f" (default: {default})"
    arguments: dict[str, Any] = {"default": None, "help": meta["help"] + shown}
    declarations = [item.name, *meta["flags"]]
    if kind(item) is bool:
        long = next(flag for flag in meta["flags"] if flag.startswith("--"))
        others = [flag for flag in meta["flags"] if flag != long]
        declarations = [item.name, f"{long}/--no-{long[2:]}", *others]
    elif meta["choices"]:
        arguments["type"] = click.Choice(meta["choices"])
    elif kind(item) is tuple:
        arguments |= {"multiple": True, "metavar": meta["metavar"]}
    else:
        arguments |= {"type": kind(item), "metavar": meta["metavar"]}
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
    bundle: Bundle | None, given: dict[str, Any], model: Path | None, **usual: Any
) -> Options:
    """Return the options: built in (or `usual`), then baked in, then given; the last one wins.

    What was baked in for the embedded model alone is not for another `model`.
    """
    baked = dict(bundle.manifest.defaults) if bundle else {}
    baked.pop("gpu_layers", None)  # no build can use them; who starts it did not ask for them
    if model:
        others = {key: value for key, value in baked.items() if key not in OF_THE_MODEL}
        baked = {**others, **_of_the_model(model)}
    options = Options(**usual).merged(baked, "baked-in ")
    chosen = {key: from_file(key, value) for key, value in given.items() if value not in (None, ())}
    options = options.merged(chosen, "")
    if "fallback_on_error" not in chosen and fallback.names_no_server(vars(options)):
        # Older releases baked it in by itself, and whoever got that file cannot mend it.
        notify("fallback_on_error is baked in, but no server is named: it is off")
        return dataclasses.replace(options, fallback_on_error=False)
    return options


def _of_the_model(path: Path) -> dict[str, Any]:
    """Return what was baked in for the model in `path`, where that is a bundle."""
    # What is wrong with the file is said where it is opened to be used.
    with contextlib.suppress(AppError, OSError):
        if found := bundle_file.find(path):
            found.close()
            defaults = found.manifest.defaults
            return {key: defaults[key] for key in OF_THE_MODEL if key in defaults}
    return {}
