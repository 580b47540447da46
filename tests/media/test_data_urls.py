"""Data URLs: bytes within a text."""

from __future__ import annotations

import base64

import pytest
from encoded_pictures import png

from runtime.errors import MediaError
from runtime.media.data_url import from_base64, from_data_url, is_data_url


@pytest.mark.parametrize("head", ["image/png", "IMAGE/PNG", "", "text/plain", "image/png;name=a b"])
def test_the_bytes_come_out(head: str) -> None:
    url = f"data:{head};base64,{base64.b64encode(png()).decode()}"

    assert is_data_url(url)
    assert png() == from_data_url(url)


@pytest.mark.parametrize(
    "url",
    ["", "data:", "data:image/png", "data:image/png;base64", "data:image/png,abc", "http://a/b,c",
     "data:image/png;base64,a", "data:image/png;base64,####", "data:;base64,YQ=",
     "data:;base64,YQ==x",
     "data:;base64,é", "file:///etc/passwd;base64,YQ=="],
)  # fmt: skip
def test_what_is_none_is_refused(url: str) -> None:
    with pytest.raises(MediaError) as caught:
        from_data_url(url)
    assert "data:image/png;base64" in caught.value.hint


def test_long_texts_are_not_repeated_in_the_error() -> None:
    with pytest.raises(MediaError) as caught:
        from_data_url("data:" + "x" * 100_000)
    assert len(caught.value.problem) < 200


def test_base64_alone_is_read_too() -> None:
    assert b"abc" == from_base64("YWJj")
