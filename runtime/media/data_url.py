"""Data URLs: bytes within a text, as clients send pictures (RFC 2397)."""

from __future__ import annotations

import base64
import binascii

from runtime.errors import MediaError

SCHEME = "data:"
EXPECTED = "data:image/png;base64,…"


def is_data_url(text: str) -> bool:
    """Return whether `text` is a data URL, sound or not."""
    return text[: len(SCHEME)].lower() == SCHEME


def from_data_url(text: str) -> bytes:
    """Return the bytes in a data URL; raise MediaError if it has none.

    The type that it claims is not looked at: the bytes themselves say what they are.
    """
    head, comma, body = text.partition(",")
    if not is_data_url(text) or not comma or not head.lower().endswith(";base64"):
        raise MediaError(f"'{head[:40]}' is no data URL with base64", hint=f"send it as {EXPECTED}")
    return from_base64(body)


def from_base64(text: str) -> bytes:
    """Return the bytes that `text` is of; raise MediaError if it is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:  # ValueError: characters beyond ASCII
        raise MediaError(f"it is not base64: {exc}", hint=f"send it as {EXPECTED}") from exc
