"""The path that all others are below."""

from __future__ import annotations

import re

import pytest
from paths import ROOT

from runtime.errors import UsageError
from runtime.server.http.api_prefix import normalised


@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        ("", ""), ("/", ""), ("//", ""), ("x", "/x"), ("/x", "/x"), ("/x/", "/x"),
        ("//x//y/", "/x/y"), ("/v1.5/~me_-", "/v1.5/~me_-"), ("/" + "x" * 199, "/" + "x" * 199),
    ],
)  # fmt: skip
def test_it_has_a_slash_before_it_and_none_behind(given: str, prefix: str) -> None:
    assert prefix == normalised(given)


@pytest.mark.parametrize(
    "given",
    ["/a/../b", "/.", "/a b", "/ä", "/%2e%2e", "/a?b", "/a#b", "/{x}", "/a\nb", "https://x"],
)
def test_what_cannot_stand_in_a_path(given: str) -> None:
    with pytest.raises(UsageError, match="cannot be part of the API prefix"):
        normalised(given)


def test_it_is_short() -> None:
    with pytest.raises(UsageError, match="has 201 characters, at most 200"):
        normalised("/" + "x" * 200)


def test_the_page_names_no_path_from_the_root() -> None:
    for path in (ROOT / "runtime" / "page").rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".webmanifest") and "vendor" not in path.parts:
            text = path.read_text(encoding="utf-8")
            found = re.findall(r"""(?:href|src)="/[^"]*|["'(`]/page/[^"')`]*""", text)
            assert [] == found, path.name
