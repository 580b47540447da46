"""Size of a JSON text: how many values it has, counted far faster than they are read.

All other requests wait while a text is read. Eight megabytes of one long text are read in a moment;
as millions of short lists they take seconds.
"""

from __future__ import annotations

from runtime import bounds
from runtime.server.http.http_error import HTTPError

FEW = 1 << 16
"""Bytes in which there are not many values."""


def require_few_values(body: bytes) -> None:
    """Raise HTTPError if `body`, which need not be JSON at all, has too many values."""
    commas, parts, texts = _count(body, b","), _count(body, b"[{"), _count(body, b'"') // 2
    if texts and (commas > bounds.JSON_VALUES or parts + texts > bounds.JSON_PARTS):
        # Some may be characters within texts.
        plain = body.replace(rb"\\", b"").replace(rb"\"", b"")
        texts = _count(plain, b'"') // 2
        if texts <= bounds.JSON_PARTS:
            outside = b"".join(plain.split(b'"')[::2])
            commas, parts = _count(outside, b","), _count(outside, b"[{")
    if commas > bounds.JSON_VALUES:
        raise _too_many(f"{bounds.JSON_VALUES} values")
    if parts + texts > bounds.JSON_PARTS:
        raise _too_many(f"{bounds.JSON_PARTS} texts, lists and objects")


def _count(body: bytes, marks: bytes) -> int:
    """Return how many bytes are one of `marks`; `bytes.count` is slow where they are many."""
    return len(body) - len(body.translate(None, marks))


def _too_many(what: str) -> HTTPError:
    return HTTPError(413, f"the request has more than {what}; ask for less at once",
                     code="too_large")  # fmt: skip
