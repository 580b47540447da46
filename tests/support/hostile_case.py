"""A hostile request: what is sent to a server, and how that may end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

KEY = "sesame"
"""The API key of the server that is asked."""
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
RIGHT = {"Host": "localhost", "Authorization": f"Bearer {KEY}"}
"""Headers that let a request in."""
Statuses = tuple[int, ...]
Bodies = Mapping[str, Any]
ANSWERED, REFUSED, EITHER = (200,), (400,), (200, 400)


@dataclass(frozen=True)
class Case:
    """A request, the statuses that it may end with, and what the error must say."""

    kind: str
    name: str
    raw: bytes | None = None
    """What is sent as it is; None if what follows says it."""
    body: bytes = b""
    path: str = TEXT
    headers: Mapping[str, str] = field(default_factory=lambda: RIGHT)
    statuses: Statuses = REFUSED
    """0 stands for a connection that is closed without an answer."""
    says: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"

    @property
    def sent(self) -> bytes:
        """Return the bytes of the request."""
        if self.raw is not None:
            return self.raw
        headers = {**self.headers, "Content-Length": len(self.body)}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


def texts(kind: str, statuses: Statuses, bodies: Bodies, **more: Any) -> list[Case]:
    """Return a case for each completion that is asked for with these fields."""
    return [*_cases(kind, statuses, bodies, {"prompt": "Hi", "max_tokens": 2}, **more)]


def chats(kind: str, statuses: Statuses, bodies: Bodies, **more: Any) -> list[Case]:
    """Return a case for each conversation with these fields."""
    asked = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    return [*_cases(kind, statuses, bodies, asked, path=CHAT, **more)]


def posts(kind: str, statuses: Statuses, bodies: Bodies, **more: Any) -> list[Case]:
    """Return a case for each request with these fields alone; bytes are sent as they are."""
    return [*_cases(kind, statuses, bodies, {}, **more)]


def _cases(
    kind: str, statuses: Statuses, bodies: Bodies, common: dict[str, Any], **more: Any
) -> Iterator[Case]:
    for name, fields in bodies.items():
        body = fields if isinstance(fields, bytes) else json.dumps({**common, **fields}).encode()
        yield Case(kind, name, body=body, statuses=statuses, **more)
