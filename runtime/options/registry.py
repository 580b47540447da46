"""Every option of a produced executable: its name, flags, default, bounds and help.

One table serves the command line, the baked-in defaults (`bundle --set`, `--config`) and the
checks on both. Names of flags are llama.cpp's.
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
from runtime.host.files import exists, read_text
from runtime.options.sampling import SamplingOptions
from runtime.options.serving import ServeOptions
from runtime.options.spec import option

INT_MAX = 2**31 - 1  # the engine's integers
TRUE, FALSE = ("true", "yes", "on", "1", "t"), ("false", "no", "off", "0", "f")


@dataclass(frozen=True)
class Options(SamplingOptions, ServeOptions):
    """What a run of the executable goes by. The last source wins: built in, baked in, flags."""

    system: str = option(
        "",
        "--system",
        "-sys",
        "--system-prompt",
        metavar="TEXT",
        help="system prompt, given to the model before the conversation",
        aliases=("system_prompt",),
        file="@FILE",
    )
    greeting: str = option(
        "",
        "--greeting",
        metavar="TEXT",
        help="what the chat says first",
        file="@FILE",
    )
    chat_template: str = option(
        "",
        "--chat-template",
        metavar="NAME|JINJA",
        help="chat template: a name the engine knows (chatml, llama3 …) or Jinja text "
        "(default: the model's own)",
        file="FILE",
    )
    session: str = option(
        "",
        "--session",
        baked=False,
        metavar="FILE",
        help="go on with the conversation in FILE, if it exists, and save it there at the end",
    )
    think: bool = option(
        True, "--think", help="let reasoning models think aloud, where their template has a switch"
    )
    n_predict: int = option(
        -1,
        "--predict",
        "-n",
        "--n-predict",
        low=-1,
        metavar="N",
        help="most tokens an answer may have, -1 for no limit",
        aliases=("max_tokens", "predict"),
    )
    ctx_size: int = option(
        0,
        "--ctx-size",
        "-c",
        low=0,
        metavar="N",
        help="tokens of context, 0 for the model's own, up to 4096, or less where memory is short",
        aliases=("context_length", "n_ctx", "num_ctx"),
    )
    batch_size: int = option(
        512,
        "--batch-size",
        "-b",
        low=1,
        high=1 << 16,
        metavar="N",
        help="prompt tokens computed at once",
        aliases=("n_batch",),
    )
    threads: int = option(
        0,
        "--threads",
        "-t",
        low=0,
        high=1024,
        metavar="N",
        help="threads to compute with, 0 for the physical cores this process may use",
        aliases=("n_threads",),
    )
    threads_batch: int = option(
        0,
        "--threads-batch",
        "-tb",
        low=0,
        high=1024,
        metavar="N",
        help="threads for the prompt, 0 for the same as -t",
    )
    parallel: int = option(
        1,
        "--parallel",
        "-np",
        low=1,
        high=256,
        metavar="N",
        help="answers computed at once, sharing the context; beside running ones 64 tokens a step "
        "are read for each new prompt",
        aliases=("n_parallel",),
    )
    gpu_layers: int = option(
        0,
        "--gpu-layers",
        "-ngl",
        "--n-gpu-layers",
        low=-1,
        metavar="N",
        help="layers to put on a GPU, where this build has support for one",
        aliases=("n_gpu_layers",),
    )
    cache_prompt: bool = option(
        True, "--cache-prompt", help="keep what was computed, and compute no beginning twice"
    )
    special: bool = option(False, "--special", help="show control tokens in answers")
    ignore_eos: bool = option(False, "--ignore-eos", help="go on when the model wants to stop")
    fit: bool = option(True, "--fit", help="check memory first, and shrink the context to fit")
    repack: bool = option(True, "--repack", help="rearrange weights for faster prompts")
    mmap: bool = option(True, "--mmap", help="map the weights instead of reading them")
    memfd: bool = option(
        True, "--memfd", help="restore a compressed model in memory, not in a temporary file"
    )
    lora: str = option(
        "",
        "--lora",
        metavar="NAME[=SCALE],…",
        help="adapters to use: parts of this file or GGUF files, each with its strength "
        "(default: all parts, at 1); none for none",
    )
    cache: bool = option(
        False, "--cache", help="keep a compressed model unpacked on disk, for the next start"
    )
    cache_size: float = option(
        20.0,
        "--cache-size",
        low=0,
        metavar="GB",
        help="most that all models kept by --cache may take",
    )
    cpu: str = option(
        "",
        "--cpu",
        metavar="NAME",
        help="use this CPU variant instead of the best that works (see info)",
    )
    fallback_on_error: bool = option(
        False,
        "--fallback-on-error",
        help="when the model cannot be loaded, send questions to another server: they leave this "
        "machine",
    )
    fallback_base_url: str = option(
        "",
        "--fallback-base-url",
        metavar="URL",
        help="that server, OpenAI-compatible: https://example.org/v1",
    )
    fallback_model: str = option(
        "", "--fallback-model", metavar="NAME", help="the model to ask for there"
    )
    fallback_api_key_env: str = option(
        "",
        "--fallback-api-key-env",
        metavar="NAME",
        help="the environment variable that holds the key for it",
    )
    color: str = option(
        "auto", "--color", "-co", choices=("auto", "on", "off"), help="colour in the chat"
    )
    markdown: bool = option(
        True,
        "--markdown",
        help="show bold, lists and code in colours in the chat, where colour is on",
    )
    stats: bool = option(False, "--stats", help="print tokens, speed and context after answers")
    verbose: bool = option(False, "--verbose", "-v", baked=False, help="show the engine's log")

    def unheld(self) -> Options:
        """Return the same without what holds an answer to a form: for what nobody reads."""
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


# In the order of the help: how tokens are chosen comes last.
FIELDS = {
    item.name: item
    for item in sorted(
        dataclasses.fields(Options),
        key=lambda item: item.name in SamplingOptions.__dataclass_fields__,
    )
}
KINDS: Mapping[str, type[Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "tuple[str, ...]": tuple,
}


def kind(item: dataclasses.Field[Any]) -> type[Any]:
    """Return the Python type of an option."""
    return KINDS[str(item.type)]


def flag(key: str) -> str:
    """Return the long flag of option `key`."""
    flags: tuple[str, ...] = FIELDS[key].metadata["flags"] if key in FIELDS else ()
    return next((name for name in flags if name.startswith("--")), f"--{key}")


def canonical(key: str, path: str = "") -> str:
    """Return the option that `key` names, by any of its names; raise UsageError otherwise."""
    wanted = key.strip().lstrip("-").replace("-", "_")
    for item in FIELDS.values():
        if item.metadata["baked"] and (wanted == item.name or wanted in item.metadata["aliases"]):
            return item.name
    known = [name for name, item in FIELDS.items() if item.metadata["baked"]]
    aliases = [alias for name in known for alias in FIELDS[name].metadata["aliases"]]
    close = difflib.get_close_matches(wanted, [*known, *aliases], 1)
    raise UsageError(
        f"there is no option '{path or key}'",
        hint=f"did you mean '{close[0]}'?" if close else "the options: " + ", ".join(known),
    )


def check(key: str, value: Any, path: str) -> Any:
    """Return `value` as option `key` takes it; raise UsageError naming `path` otherwise."""
    item = FIELDS.get(key)
    if item is None:
        raise UsageError(f"there is no option '{path}'", hint="this bundle needs a newer runtime")
    wanted = kind(item)
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
    low, high, choices = (item.metadata[name] for name in ("low", "high", "choices"))
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
    item = FIELDS[key]
    wanted = kind(item)
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
    how = FIELDS[key].metadata["file"]
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
        if kind(FIELDS[option]) is tuple:
            parsed = result.get(option, ()) + parsed
        result[option] = parsed
    return result


def _describe(item: dataclasses.Field[Any]) -> str:
    """Return what an option takes, for a message."""
    low, high, choices = (item.metadata[name] for name in ("low", "high", "choices"))
    if choices:
        return " or ".join(choices)
    names = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        tuple: "a list of texts",
    }
    text = names[kind(item)]
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


def _help(item: dataclasses.Field[Any]) -> str:
    return str(item.metadata["help"])
