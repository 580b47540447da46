"""Command-line spellings that click does not know, rewritten to ones it does.

What the first stage has read is left out. The rest are Go's (-n=5, -i=false, -embedded) and
llama.cpp's (--grammar-file F, a bare --color).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from runtime.errors import UsageError
from runtime.options.registry import FALSE, TRUE

END_OF_OPTIONS = "--"
WITH_VALUE = re.compile(r"(-{1,2}[A-Za-z][\w-]*)=(.*)", re.S)
TEXT_FLAGS = ("-p", "--prompt", "-sys", "--system", "--system-prompt", "--greeting")
FIRST_STAGE_FLAGS = ("--no-keep",)
"""What runtime/first_stage looks for."""
COLOR_FLAGS = ("-co", "--color")
COLOR_VALUES = {
    **dict.fromkeys(("on", "always", "yes"), "on"),
    **dict.fromkeys(("off", "never", "no"), "off"),
    "auto": "auto",
}
"""Values of --color in other programs, by llama.cpp's."""
FILE_FLAGS = {
    "--grammar-file": "--grammar",
    "--json-schema-file": "--json-schema",
    "-jf": "--json-schema",
}
"""llama.cpp's flags for text from a file, by the flags that take it as @FILE here."""
NEGATIONS = {"-nr": "--no-repack", "--no-mmproj": "--no-mmproj-auto"}
"""llama.cpp's other flags that turn something off, by those that click knows."""
SWITCHES = {
    f"{dashes}{name}": long
    for name, long in (("i", "interactive"), ("interactive",) * 2, ("embedded",) * 2)
    for dashes in ("-", "--")
}
"""Flags without a value, to which Go's spelling gives one, by their long name."""


def normalized(arguments: Sequence[str]) -> list[str]:
    """Return `arguments` in click's spelling; raise UsageError if a switch has an invalid value."""
    rest = deque(arguments)
    result: list[str] = []
    while rest and rest[0] != END_OF_OPTIONS:
        argument = rest.popleft()
        match = WITH_VALUE.fullmatch(argument)
        flag, value = (match[1], match[2]) if match else (argument, None)
        result += REWRITES.get(flag, _go_value)(flag, value, rest)
    return [*result, *rest]


def _first_stage(flag: str, value: str | None, rest: deque[str]) -> list[str]:
    """--no-keep has had its effect."""
    return [] if value is None else [f"{flag}={value}"]


def _go_value(flag: str, value: str | None, rest: deque[str]) -> list[str]:
    """-n=5 is -n 5. Any other argument stays as it is."""
    if value is None:
        return [flag]
    return [f"{flag}={value}"] if flag.startswith("--") else [flag, value]


def _go_switch(flag: str, value: str | None, rest: deque[str]) -> list[str]:
    """-i=false is --no-interactive, -embedded is --embedded."""
    if value is None:
        return ["--embedded" if flag == "-embedded" else flag]
    if value.lower() not in TRUE + FALSE:
        raise UsageError(f"'{flag}={value}' is neither true nor false")
    return [f"--{SWITCHES[flag]}" if value.lower() in TRUE else f"--no-{SWITCHES[flag]}"]


def _negation(flag: str, value: str | None, rest: deque[str]) -> list[str]:
    """-nr is --no-repack, --no-mmproj is --no-mmproj-auto."""
    return _go_value(flag if value else NEGATIONS[flag], value, rest)


def _text(flag: str, value: str | None, rest: deque[str]) -> list[str]:
    """-p TEXT stays as it is, whatever flag the text may look like."""
    if value is None and _has_value(rest):
        return [flag, rest.popleft()]
    return _go_value(flag, value, rest)


def _file(flag: str, value: str | None, rest: deque[str]) -> list[str]:
    """--grammar-file FILE and --grammar-file=FILE are --grammar @FILE."""
    if value is None and _has_value(rest):
        value = rest.popleft()
    return [FILE_FLAGS[flag], *([] if value is None else [f"@{value}"])]


def _color(flag: str, value: str | None, rest: deque[str]) -> list[str]:
    """--color never and --color=never are --color off; a bare --color is --color on."""
    if value is None:
        value = rest.popleft() if rest and rest[0] in COLOR_VALUES else "on"
    return [flag, COLOR_VALUES.get(value, value)]


def _has_value(rest: deque[str]) -> bool:
    return bool(rest) and rest[0] != END_OF_OPTIONS


Rewrite = Callable[[str, "str | None", "deque[str]"], "list[str]"]
"""Gets a flag, the value after its `=` if any, and the arguments after it, of which it may take
the first; returns what to put in their place."""
REWRITES: Mapping[str, Rewrite] = {
    **dict.fromkeys(FIRST_STAGE_FLAGS, _first_stage),
    **dict.fromkeys(TEXT_FLAGS, _text),
    **dict.fromkeys(FILE_FLAGS, _file),
    **dict.fromkeys(COLOR_FLAGS, _color),
    **dict.fromkeys(NEGATIONS, _negation),
    **dict.fromkeys(SWITCHES, _go_switch),
}
"""The rewrite of a flag; _go_value for all others."""
