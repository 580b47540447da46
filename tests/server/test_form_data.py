"""Forms with files are taken apart, in bounds, whatever they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from runtime import bounds
from runtime.server.http import form_data
from runtime.server.http.http_error import HTTPError

KIND = b"multipart/form-data; boundary=edge"


class Form(Struct):
    file: bytes
    count: int = 0
    loud: bool = False
    text: str = ""


def written(*fields: tuple[str, bytes], edge: bytes = b"edge") -> bytes:
    parts = [
        b"--" + edge + b"\r\n"
        + f'Content-Disposition: form-data; name="{name}"'.encode() + b"\r\n\r\n" + value + b"\r\n"
        for name, value in fields
    ]  # fmt: skip
    return b"".join([*parts, b"--" + edge + b"--\r\n"])


def refusal(body: bytes, kind: bytes = KIND) -> str:
    with pytest.raises(HTTPError) as found:
        form_data.decoded(Form, kind, body)
    assert 400 == found.value.status
    return found.value.message


@given(st.binary(), st.text(), st.integers(-(2**31), 2**31), st.booleans())
def test_fields_have_the_types_that_are_asked_for(
    data: bytes, text: str, count: int, loud: bool
) -> None:
    body = written(
        ("file", data),
        ("count", str(count).encode()),
        ("loud", str(loud).lower().encode()),
        ("text", text.encode("utf-8", "replace")),
        ("unknown", b"\xff"[:0]),
        edge=b"e" * 40,
    )
    found = form_data.decoded(Form, b"multipart/form-data; boundary=" + b"e" * 40, body)

    assert Form(data, count, loud, text.encode("utf-8", "replace").decode()) == found


def test_a_file_has_a_name_and_a_kind() -> None:
    head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a b.wav"\r\n'
    body = head + b"Content-Type: audio/wav\r\n\r\nRIFF\r\n--edge--"

    assert Form(b"RIFF") == form_data.decoded(Form, KIND, body)


@pytest.mark.parametrize(
    "body, kind, words",
    [
        (b"{}", b"application/json", "expected multipart/form-data with a boundary"),
        (b"", b"", "no content type"),
        (b"", b"multipart/form-data", "with a boundary"),
        (b"", KIND, "cut"),
        (b"no form", KIND, "cannot be read"),
        (written(("file", b"x"))[:-12], KIND, "cut"),
        (written(("count", b"1")), KIND, "file"),
        (written(("file", b""), ("count", b"one")), KIND, "'count'"),
        (written(("file", b""), ("text", b"\xff")), KIND, "'text' is not UTF-8"),
        (written(("", b"x")), KIND, "no name"),
        (b"--edge\r\nX: y\r\n\r\nz\r\n--edge--", KIND, "no name"),
        (b"--edge\r\nX\xff y\r\n\r\nz\r\n--edge--", KIND, "cannot be read"),
        (b"", b"multipart/form-data; boundary=" + b"e" * 5000, "cannot be read"),
    ],
)
def test_what_is_no_such_form_is_refused(body: bytes, kind: bytes, words: str) -> None:
    assert words in refusal(body, kind)


def test_a_form_of_too_many_fields_is_refused() -> None:
    allowed = written(*[("file", b"")] * bounds.FORM_FIELDS)
    assert Form(b"") == form_data.decoded(Form, KIND, allowed)

    assert f"more than {bounds.FORM_FIELDS} fields" in refusal(
        written(*[("file", b"")] * (bounds.FORM_FIELDS + 1))
    )


@given(st.binary())
def test_no_bytes_do_harm(body: bytes) -> None:
    for given_body in (body, written(("file", b"x"))[: len(body)] + body):
        try:
            form_data.fields(KIND, given_body)
        except HTTPError as problem:
            assert 400 == problem.status
