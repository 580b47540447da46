"""Dialect: how a protocol writes its errors and its streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.server.http.http_error import ErrorBody, HTTPError, encode


def data_event(item: Any) -> bytes:
    """Return a server-sent event without a name."""
    return b"data: %b\n\n" % encode(item)


def named_event(item: Any) -> bytes:
    """Return a server-sent event; its name is the tag of `item`, a tagged struct."""
    return b"event: %b\ndata: %b\n\n" % (item.__struct_config__.tag.encode(), encode(item))


@dataclass(frozen=True)
class Dialect:
    """What differs between protocols beside the requests and responses themselves."""

    body: Callable[[HTTPError], Any] = HTTPError.body
    """Returns the body of an error response."""
    error: Any = ErrorBody
    """Its type."""
    kind: str = "text/event-stream; charset=utf-8"
    """The content type of streams."""
    event: Callable[[Any], bytes] = data_event
    """Returns an item of a stream as it is written."""
    failure: Callable[[HTTPError], Any] = HTTPError.body
    """Returns the last item of a stream that fails."""
    end: bytes = b"data: [DONE]\n\n"
    """What ends a stream."""


OPENAI = Dialect()
"""As OpenAI's chat completions have it, and whoever follows them."""
