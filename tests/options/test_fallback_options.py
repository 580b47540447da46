"""Which options of the fallback belong together."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.options import fallback

URL = "https://example.org/v1"


@pytest.mark.parametrize(
    ("problem", "values"),
    [
        ("", {}),
        ("", {"fallback_base_url": "ftp://example.org"}),
        ("", {"fallback_on_error": True, "fallback_base_url": URL, "fallback_model": "m"}),
        ("fallback_on_error is set, but not fallback_base_url and fallback_model",
         {"fallback_on_error": True, "fallback_model": ""}),
        ("fallback_on_error is set, but not fallback_model",
         {"fallback_on_error": True, "fallback_base_url": URL}),
        ("fallback_base_url is 'example.org', expected http:// or https://",
         {"fallback_on_error": True, "fallback_base_url": "example.org", "fallback_model": "m"}),
    ],
)  # fmt: skip
def test_what_a_fallback_lacks_is_named(problem: str, values: dict[str, Any]) -> None:
    assert problem == fallback.problem(values)
