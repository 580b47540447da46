"""Large bodies of several clients do not keep the others from their turn."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from runtime.server.http import json_size
from runtime.server.http.http_error import HTTPError
from runtime.server.http.request_body import BodyReader

SCOPE: Any = {"headers": []}
LARGE = json.dumps("a" * json_size.FEW * 2).encode()


def sent(*parts: bytes) -> Any:
    """Return what a client's connection gives: a body in parts."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return receive


def test_others_have_their_turn_between_two_large_bodies() -> None:
    reader = BodyReader()
    seen: list[str] = []

    def decoder(body: bytes) -> bytes:
        seen.append("body")
        return body

    async def other() -> None:
        while seen.count("body") < 3:
            seen.append("other")
            await asyncio.sleep(0)

    async def ask() -> None:
        await asyncio.gather(other(), *(reader.read(SCOPE, sent(LARGE), decoder) for _ in range(3)))

    asyncio.run(ask())
    bodies = [place for place, what in enumerate(seen) if what == "body"]
    assert 3 == len(bodies)
    assert all(later - earlier > 1 for earlier, later in itertools.pairwise(bodies))


def test_a_client_that_goes_away_keeps_nobody_waiting() -> None:
    reader = BodyReader()

    async def ask() -> bytes:
        with pytest.raises(HTTPError, match="stopping"):
            await reader.read(SCOPE, sent(), bytes)
        return await reader.read(SCOPE, sent(LARGE[:9], LARGE[9:]), bytes)

    assert asyncio.run(ask()) == LARGE


def test_a_body_that_is_too_large_is_refused() -> None:
    with pytest.raises(HTTPError, match="10"):
        asyncio.run(BodyReader(10).read(SCOPE, sent(b"123456", b"78901"), bytes))
