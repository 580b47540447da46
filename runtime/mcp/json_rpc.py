"""JSON-RPC 2.0: requests and notifications as they come, and what is answered.

https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from runtime import bounds

Id = int | str
Message = dict[str, Any]

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND = -32700, -32600, -32601
INVALID_PARAMS, INTERNAL_ERROR = -32602, -32603


class RpcError(Exception):
    """A request that fails by the protocol's rules."""

    def __init__(self, code: int, message: str, data: Any = None, *, id: Id | None = None) -> None:
        """`id` is that of the request, None if it could not be read."""
        super().__init__(message)
        self.code = code
        self.data = data
        self.id = id


@dataclass(frozen=True)
class Request:
    """A request, or a notification, which has no identity and gets no answer."""

    method: str
    params: Mapping[str, Any]
    id: Id | None = None


def read(line: bytes) -> Request | None:
    """Return the request in a line; None for an answer, since nothing is asked from here.

    Raise RpcError if there is none in it.
    """
    if len(line) > bounds.TOOL_MESSAGE:
        raise RpcError(
            INVALID_REQUEST, f"the message has more than {bounds.TOOL_MESSAGE} bytes in a line"
        )
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise RpcError(PARSE_ERROR, "the line is not JSON that can be read") from exc
    if not isinstance(found, dict):
        raise RpcError(INVALID_REQUEST, "expected one JSON object a line; batches are not taken")
    identity = found.get("id")
    known = identity if is_id(identity) else None
    method, params = found.get("method"), found.get("params", {})
    if method is None and ("result" in found or "error" in found):
        return None
    if found.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise RpcError(
            INVALID_REQUEST, "expected a method, and 'jsonrpc': '2.0' beside it", id=known
        )
    if "id" in found and known is None:
        raise RpcError(INVALID_REQUEST, "'id' is neither a text nor a whole number")
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "'params' is not an object", id=known)
    return Request(method, params, known)


def is_id(value: Any) -> TypeGuard[Id]:
    """Return whether a value may be the identity of a request, or a token of progress."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def result(id: Id, found: Mapping[str, Any]) -> Message:
    """Return the answer to a request."""
    return {"jsonrpc": "2.0", "id": id, "result": found}


def failure(error: RpcError) -> Message:
    """Return the answer to a request that fails."""
    details: Message = {"code": error.code, "message": str(error)}
    if error.data is not None:
        details["data"] = error.data
    return {"jsonrpc": "2.0", "id": error.id, "error": details}


def notification(method: str, params: Mapping[str, Any]) -> Message:
    """Return a notification."""
    return {"jsonrpc": "2.0", "method": method, "params": params}
