"""The chat templates built into llama.cpp: checks that a name is one of them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.errors import UsageError

STUB_KEY = "chat_templates"
"""Key of the list of names in a manifest's facts about its stub."""


def check(text: str, names: Sequence[str]) -> None:
    """Raise UsageError unless `text` is one of the template `names`, or a Jinja template."""
    if "{" in text or text in names:
        return
    guess = "".join(f"did you mean '{n}'? " for n in difflib.get_close_matches(text, names, 1))
    raise UsageError(
        f"there is no chat template called {text!r}", hint=f"{guess}the names: {', '.join(names)}"
    )


def check_baked(defaults: Mapping[str, Any], stub: Mapping[str, Any]) -> None:
    """Raise UsageError if baked-in `defaults` name a template that the facts of `stub` lack."""
    names = stub.get(STUB_KEY)
    if isinstance(names, list) and (text := defaults.get("chat_template")):
        # A manifest may come from anyone: names with terminal control characters are ignored.
        check(text, [name for name in names if isinstance(name, str) and name.isprintable()])
