"""What is costly to read is told by counting, whatever stands in the texts."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import bounds
from runtime.server.http import json_size
from runtime.server.http.http_error import HTTPError

TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
CHARACTERS = st.text(st.sampled_from('a,[]{}"\\:é\n'), max_size=6)
VALUES = st.recursive(
    st.none() | st.integers() | CHARACTERS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(CHARACTERS, inner, max_size=4),
)


def refusal(body: bytes) -> str:
    """Return why a body is refused; empty if it is not."""
    try:
        json_size.require_few_values(body)
    except HTTPError as exc:
        assert (413, "too_large") == (exc.status, exc.code)
        return exc.message
    return ""


def listed(item: bytes, count: int) -> bytes:
    return b'{"prompt":[' + b",".join([item] * count) + b"]}"


def test_a_long_text_is_one_value() -> None:
    for text in (',[{"\\' * 1_000_000, "\\" * 3_000_001, '"' * 3_000_001, "word, " * 1_200_000):
        assert "" == refusal(json.dumps({"prompt": text}).encode())


@pytest.mark.parametrize(
    ("item", "most"),
    [(b"1", bounds.JSON_VALUES), (b'"a"', bounds.JSON_PARTS - 3),
     (b"[1]", bounds.JSON_PARTS - 3), (b"{}", bounds.JSON_PARTS - 3)],
)  # fmt: skip
def test_as_many_as_are_read_in_a_moment(item: bytes, most: int) -> None:
    assert "" == refusal(listed(item, most))
    assert "ask for less at once" in refusal(listed(item, most + 2))


@settings(deadline=None)
@given(VALUES, st.integers(0, 6), st.integers(0, 6))
def test_every_text_is_counted_right(value: Any, values: int, parts: int) -> None:
    body = msgspec.json.encode(value)
    outside = TEXT.sub(b"", body)
    found = len(TEXT.findall(body)) + outside.count(b"[") + outside.count(b"{")
    few = outside.count(b",") <= values and found <= parts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "JSON_VALUES", values)
        patch.setattr(bounds, "JSON_PARTS", parts)
        assert few == (refusal(body) == "")


@pytest.mark.parametrize("piece", range(1, 40))
def test_pieces_make_no_difference(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["\\", '\\"', ',"', "[\\", '"""', "\\\\\\", "{,[", "a"]
    body = json.dumps([*texts, [1, 2], {"\\,": texts}]).encode()
    outside = TEXT.sub(b"", body)
    expected = (outside.count(b","), outside.count(b"[") + outside.count(b"{"),
                len(TEXT.findall(body)))  # fmt: skip
    monkeypatch.setattr(json_size, "PIECE", piece)
    assert expected == json_size._counted_outside_texts(body)


@given(st.binary(max_size=60))
def test_what_is_no_json_is_left_to_its_reader(body: bytes) -> None:
    assert "" == refusal(body)
