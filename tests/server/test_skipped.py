"""The header that names what was left out of a request."""

from __future__ import annotations

import h11
import pytest

from runtime.server.service import skipped


@pytest.mark.parametrize(
    ("kinds", "value"),
    [
        (["web_search", "mcp"], "web_search, mcp"),
        (["", " ", "\x1b\r\n", "日本"], "?, ?, ?, ?"),
        ([" a\r\nX-Other: 1 "], "aX-Other: 1"),
        (["x" * 1000], "x" * 100),
        ([f"kind{number}" for number in range(500)], None),
    ],
)
def test_anything_can_be_named(kinds: list[str], value: str | None) -> None:
    [(name, found)] = skipped.headers(kinds).items()
    assert value in (None, found)
    assert len(found) < 4000
    h11.Response(status_code=200, headers=[(name, found)])  # refuses what is no header


def test_nothing_left_out_is_no_header() -> None:
    assert {} == skipped.headers([])
