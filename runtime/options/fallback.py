"""The options of the fallback, a server to ask when the model cannot be loaded.

Which of them belong together is one rule for the bundler, which checks what it bakes in, and for
the program, which asks the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.options.spec import option


@dataclass(frozen=True, init=False, repr=False, eq=False)  # Options has these
class FallbackOptions:
    """Whether there is a fallback, and where."""

    fallback_on_error: bool = option(
        False,
        "--fallback-on-error",
        help="if the model cannot be loaded, send questions to another server; they leave this "
        "machine",
    )
    fallback_base_url: str = option(
        "",
        "--fallback-base-url",
        metavar="URL",
        help="base URL of the OpenAI-compatible fallback server, such as https://example.org/v1",
    )
    fallback_model: str = option(
        "",
        "--fallback-model",
        metavar="NAME",
        help="model to request from the fallback server",
    )
    fallback_api_key_env: str = option(
        "",
        "--fallback-api-key-env",
        metavar="NAME",
        help="environment variable that holds the API key for the fallback server",
    )


SERVER = ("fallback_base_url", "fallback_model")
"""The options that name the server."""
SCHEMES = ("http://", "https://")


def problem(values: Mapping[str, Any]) -> str:
    """Return why the fallback that `values` switch on cannot be used; empty if it can, or is off.

    `values` are options by name, not necessarily all of them.
    """
    if not values.get("fallback_on_error"):
        return ""
    if missing := [name for name in SERVER if not values.get(name)]:
        return f"fallback_on_error is set, but not {' and '.join(missing)}"
    if not str(url := values["fallback_base_url"]).startswith(SCHEMES):
        return f"fallback_base_url is '{url}', expected {' or '.join(SCHEMES)}"
    return ""


def names_no_server(values: Mapping[str, Any]) -> bool:
    """Tell whether `fallback_on_error` is on, and nothing names a server."""
    return bool(values.get("fallback_on_error")) and not any(values.get(name) for name in SERVER)
