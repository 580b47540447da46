"""The options of the fallback: a server to ask when the model cannot be loaded."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.options.spec import option


@dataclass(frozen=True)
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
