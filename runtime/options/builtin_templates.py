"""The name of a chat template that the engine has built in; a wrong one is told before any work."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.errors import UsageError

FACT = "chat_templates"
"""What a runtime calls the names among the facts about itself, in every manifest."""


def check(text: str, names: Sequence[str]) -> None:
    """Raise UsageError unless the template `text` is one of `names`, or Jinja."""
    if "{" in text or text in names:
        return
    guess = "".join(f"did you mean '{n}'? " for n in difflib.get_close_matches(text, names, 1))
    raise UsageError(
        f"there is no chat template called {text!r}", hint=f"{guess}the names: {', '.join(names)}"
    )


def check_baked(defaults: Mapping[str, Any], stub: Mapping[str, Any]) -> None:
    """Raise UsageError where a runtime, by its facts, has no template that the defaults name."""
    names = stub.get(FACT)
    if isinstance(names, list) and (text := defaults.get("chat_template")):
        # A manifest may be a stranger's: what would steer the terminal is no name.
        check(text, [name for name in names if isinstance(name, str) and name.isprintable()])
