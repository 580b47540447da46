"""The fallback's options: which of them belong together.

One rule for the bundler, which checks what it bakes in, and for the program, which asks the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SERVER = ("fallback_base_url", "fallback_model")
"""What names the server to ask."""


def missing(values: Mapping[str, Any]) -> list[str]:
    """Return what `fallback_on_error` needs and `values` lack; empty where it is off."""
    if not values.get("fallback_on_error"):
        return []
    return [name for name in SERVER if not values.get(name)]


def names_no_server(values: Mapping[str, Any]) -> bool:
    """Tell whether `fallback_on_error` is on, and nothing says which server to ask."""
    return missing(values) == [*SERVER]
