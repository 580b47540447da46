"""HTTP errors, in the JSON of OpenAI's API: `{"error": {message, type, param, code}}`.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec

from runtime.errors import AppError, Busy, DeviceLost, MediaError, UsageError
from runtime.sanitize import plain

RETRY_SECONDS, RELOAD_SECONDS = 1, 10
PLACE = re.compile(r" - at `\$\.?(.*)`$")
TERM = re.compile(r"`([^`]*)`")
JSON_TYPES = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
"""msgspec's names of types, which are half Python's, and JSON's own."""
Given = TypeVar("Given")
Decoded = TypeVar("Decoded")
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    431: "invalid_request_error",
    501: "not_supported_error",
    503: "unavailable_error",
}


class Details(msgspec.Struct, kw_only=True):
    """Message, type, field and code of an error."""

    message: str
    type: str
    param: str | None
    """The field that is wrong, if one is."""
    code: str | int | None


class ErrorBody(msgspec.Struct):
    """The response to a failed request."""

    error: Details


class HTTPError(Exception):
    """An error that is sent to the client."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | int | None = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        """`status` is the HTTP status; `param` names the field of the request that is wrong.

        Both are sanitized, as an AppError's words are: they often quote the request.
        """
        self.status = status
        self.message = plain(message)
        self.param = None if param is None else plain(param)
        super().__init__(self.message)
        self.code = code
        self.headers = dict(headers)

    def body(self) -> ErrorBody:
        """Return the body of the response."""
        kind = TYPES.get(self.status, "server_error")
        code = self.status if self.code is None else self.code
        return ErrorBody(Details(message=self.message, type=kind, param=self.param, code=code))


def http_error_of(exc: AppError, *, param: str | None = None) -> HTTPError:
    """Return an AppError as an HTTPError."""
    text = f"{exc.problem}; {exc.hint}" if exc.hint else exc.problem
    if isinstance(exc, Busy):
        return HTTPError(503, text, code="busy", headers={"Retry-After": str(RETRY_SECONDS)})
    if isinstance(exc, DeviceLost):  # another process takes the place of this one
        return HTTPError(503, text, headers={"Retry-After": str(RELOAD_SECONDS)})
    status = 400 if isinstance(exc, UsageError | MediaError) else 500
    return HTTPError(status, text, param=param)


@contextlib.contextmanager
def naming(fields: Mapping[str, str]) -> Iterator[None]:
    """Let errors name the fields of the request that came, not of the one that it is turned into.

    `fields` has what is put in their place, by regular expressions.
    """
    try:
        yield
    except HTTPError as problem:
        if problem.param:
            found = problem.param
            for pattern, ours in fields.items():
                found = re.sub(pattern, ours, found)
            problem.message = problem.message.replace(f"'{problem.param}'", f"'{found}'")
            problem.param = found
        raise


def stopping() -> HTTPError:
    """Return the error for whoever is not answered any more."""
    return HTTPError(503, "the server is stopping", headers={"Retry-After": "5"})


def encode(value: object) -> bytes:
    """Return `value` as JSON."""
    return msgspec.json.encode(value)


def decode(decoder: Callable[[Given], Decoded], given: Given) -> Decoded:
    """Return what is given, decoded by msgspec; raise HTTPError if it does not fit."""
    try:
        return decoder(given)
    except msgspec.ValidationError as exc:
        raise _misfit(str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise HTTPError(400, f"not JSON: {exc}") from exc
    except RecursionError as exc:
        raise HTTPError(400, "the JSON is nested too deeply") from exc


def _misfit(text: str) -> HTTPError:
    """Return the error for a request that does not fit its type; it names the field."""
    place = PLACE.search(text)
    field = place[1] if place else ""
    told = TERM.sub(_plain, text[: place.start()] if place else text)
    told = told[:1].lower() + told[1:]
    return HTTPError(400, f"'{field}': {told}" if field else told, param=field or None)


def _plain(quoted: re.Match[str]) -> str:
    """Return msgspec's message with JSON's names of types."""
    words = quoted[1].split(" | ")
    if not set(words) <= JSON_TYPES.keys():
        return f"'{quoted[1]}'"
    return " or ".join(JSON_TYPES[word] for word in words)
