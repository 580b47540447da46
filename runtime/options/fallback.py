"""Options of the fallback, a remote server that answers when the model cannot be loaded.

Which of them belong together is one rule for the bundler, which checks what it bakes in, and for
the program, which asks the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.options.spec import option


@dataclass(frozen=True)
class FallbackOptions:
    """Which server to ask instead, and whether to."""

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
