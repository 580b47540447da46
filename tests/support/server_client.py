"""Requests to a server under test, and what is in its answers."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

from servers import Served

FRANCE = "What is the capital of France?"


def call(
    server: Served, method: str, path: str, body: Any = None, seconds: float = 60, **headers: str
) -> Any:
    """Return status, headers and body of one request; JSON is read."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=seconds)
    try:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, data, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    kind = response.headers.get("content-type", "")
    found = json.loads(content) if kind.startswith("application/json") else content.decode()
    return response.status, response.headers, found


def get(server: Served, path: str) -> Any:
    status, _, found = call(server, "GET", path)
    assert status == 200, found
    return found


def post(server: Served, path: str, body: Any, status: int = 200, seconds: float = 60) -> Any:
    code, _, found = call(server, "POST", path, body, seconds)
    assert code == status, found
    return found


def events(server: Served, path: str, body: dict[str, Any]) -> list[Any]:
    """Return the parts of a stream."""
    text = post(server, path, {**body, "stream": True})
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def asked(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": FRANCE}], **more}


def said(answer: Any) -> str:
    return str(answer["choices"][0]["message"]["content"])


def until(condition: Any, seconds: float = 10) -> None:
    """Wait for `condition`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
