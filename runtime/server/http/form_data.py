"""Forms with files, `multipart/form-data` (RFC 7578), taken apart by python-multipart."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from runtime import bounds
from runtime.server.http.http_error import HTTPError, decode

KIND = "multipart/form-data"


def decoded(kind: type[Struct], content_type: bytes, body: bytes) -> Any:
    """Return a form as a Struct: fields of type `bytes` as they came, others from UTF-8.

    Fields that the Struct does not have are ignored, as in JSON. Raise HTTPError if the body is no
    form, or does not fit.
    """
    values = fields(content_type, body)
    raw = {field.name for field in msgspec.structs.fields(kind) if field.type is bytes}
    found: dict[str, str | bytes] = {}
    for name, value in values.items():
        try:
            found[name] = value if name in raw else value.decode()
        except UnicodeDecodeError as exc:
            raise HTTPError(400, f"'{name}' is not UTF-8", param=name) from exc
    return decode(lambda given: msgspec.convert(given, kind, strict=False), found)


def fields(content_type: bytes, body: bytes) -> dict[str, bytes]:
    """Return the values of a form by their names, of those named twice the last.

    Raise HTTPError if it is none, or has too many.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    kind, options = parse_options_header(content_type)
    if kind.decode("latin-1") != KIND or not options.get(b"boundary"):
        found = content_type.decode("latin-1")[:80] or "no content type"
        raise HTTPError(400, f"expected {KIND} with a boundary, found {found}")
    form = _Form()
    try:
        parser = MultipartParser(options[b"boundary"], form.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as exc:
        raise HTTPError(400, f"the form cannot be read: {exc}") from exc
    if not form.ended:
        raise HTTPError(400, "the form has no end; it was cut")
    return {name: bytes(value) for name, value in form.values.items()}


class _Form:
    """What the parser has found so far."""

    def __init__(self) -> None:
        self.values: dict[str, bytearray] = {}
        self.ended = False
        self._count = 0
        self._headers: dict[str, str] = {}
        self._field, self._value = bytearray(), bytearray()
        self._data = bytearray()

    def callbacks(self) -> dict[str, Any]:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._named,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > bounds.FORM_FIELDS:
            raise HTTPError(400, f"the form has more than {bounds.FORM_FIELDS} fields")
        self._headers = {}

    def _header(self) -> None:
        name = self._field.decode("latin-1").lower()
        self._headers[name] = self._value.decode("latin-1")
        self._field, self._value = bytearray(), bytearray()

    def _named(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        name = options.get(b"name")
        if not name:
            raise HTTPError(400, "a field of the form has no name")
        self._data = self.values[name.decode("utf-8", "replace")] = bytearray()

    def _end(self) -> None:
        self.ended = True
