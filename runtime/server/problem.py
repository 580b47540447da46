"""What goes wrong with a request, in the shape that OpenAI's clients know.

https://platform.openai.com/docs/guides/error-codes: `{"error": {message, type, param, code}}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from runtime.errors import AppError, Busy, UsageError

RETRY_SECONDS = 1
PLACE = re.compile(r" - at `\$\.?(.*)`$")
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    501: "not_supported_error",
    503: "unavailable_error",
}


class Details(msgspec.Struct, kw_only=True):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    """The field that is wrong, if one is."""
    code: str | int | None


class ErrorBody(msgspec.Struct):
    """The answer to a request that failed."""

    error: Details


class Problem(Exception):
    """A failure to be told to the client."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | int | None = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        """`status` is HTTP's; `param` names the field of the request that is wrong."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers)

    def body(self) -> ErrorBody:
        """Return what to send."""
        kind = TYPES.get(self.status, "server_error")
        code = self.status if self.code is None else self.code
        return ErrorBody(Details(message=self.message, type=kind, param=self.param, code=code))


def told(exc: AppError, *, param: str | None = None) -> Problem:
    """Return how to tell a client of one of our own errors."""
    text = f"{exc.problem}; {exc.hint}" if exc.hint else exc.problem
    if isinstance(exc, Busy):
        return Problem(503, text, code="busy", headers={"Retry-After": str(RETRY_SECONDS)})
    status = 400 if isinstance(exc, UsageError) else 500
    return Problem(status, text, param=param)


def misread(exc: msgspec.DecodeError) -> Problem:
    """Return how to tell that a body is not what it should be; names the field."""
    text = str(exc)
    if match := PLACE.search(text):
        field = match[1] or None
        plain = text[: match.start()]
        return Problem(400, f"'{field}': {plain}" if field else plain, param=field)
    return Problem(400, text if isinstance(exc, msgspec.ValidationError) else f"not JSON: {text}")
