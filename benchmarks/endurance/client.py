"""Client: requests to the server, whole and streamed, and the answers to them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TIMEOUT = 120.0


class Busy(Exception):
    """The server has no place for the request now, and says when to come again."""


class Stopping(Exception):
    """The server was told to end, and says so."""


class Cut(Exception):
    """The connection was closed in the middle of an answer."""


class Unexpected(Exception):
    """An answer that should not have come; the text says what it is."""


def post(port: int, path: str, body: Any, *expected: int) -> Any:
    """Send JSON; return the answer. Raise Unexpected unless its status is `expected` (200)."""
    with _asked(port, path, body, *expected) as response:
        return json.loads(response.read())


@contextmanager
def streamed(port: int, path: str, body: dict[str, Any]) -> Iterator[Iterator[Any]]:
    """Give the parts of a streamed answer as they come; leaving early disconnects."""
    with _asked(port, path, {**body, "stream": True}) as response:
        yield _parts(response)


@contextmanager
def _asked(port: int, path: str, body: Any, *expected: int) -> Iterator[http.client.HTTPResponse]:
    """Give the response to a request, and close its connection behind."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status == 503 and 503 not in expected:
            raise Busy if response.headers["Retry-After"] else Stopping
        if response.status not in (expected or (200,)):
            raise Unexpected(f"{path}: status {response.status}: {response.read()[:300]!r}")
        yield response
    finally:
        connection.close()


def _parts(response: http.client.HTTPResponse) -> Iterator[Any]:
    """Yield the parts of a stream; raise Cut if it ends before its end."""
    for line in response:
        data = line.decode().removeprefix("data: ").strip()
        if data == "[DONE]":
            return
        if data:
            part = json.loads(data)
            if "error" in part:
                raise Stopping if part["error"]["code"] == 503 else Unexpected(str(part["error"]))
            yield part
    raise Cut("the stream was cut")


def question(text: str, **more: Any) -> dict[str, Any]:
    """Return a chat request whose answer is the same each time."""
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, **more}


def said(document: Any) -> str:
    """Return the text of a chat answer."""
    return str(document["choices"][0]["message"]["content"])
