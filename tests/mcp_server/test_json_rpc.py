"""Lines of JSON-RPC: what is a request, and what is wrong with what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime import bounds
from runtime.mcp import json_rpc
from runtime.mcp.json_rpc import Request, RpcError

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def read(message: Any) -> Request | None:
    return json_rpc.read(json.dumps(message).encode())


@pytest.mark.parametrize("identity", [0, -5, "", "a", 2**70])
def test_a_request(identity: int | str) -> None:
    assert Request("ping", {}, identity) == read({**PING, "id": identity})
    assert Request("ping", {"a": 1}, 1) == read({**PING, "params": {"a": 1}})


def test_a_notification_has_no_identity() -> None:
    assert Request("x", {}) == read({"jsonrpc": "2.0", "method": "x"})


@pytest.mark.parametrize("answer", [{"result": {}}, {"error": {"code": 1, "message": "no"}}])
def test_answers_are_passed_over(answer: dict[str, Any]) -> None:
    assert read({"jsonrpc": "2.0", "id": 1, **answer}) is None


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", json_rpc.PARSE_ERROR),
        (b"\xff", json_rpc.PARSE_ERROR),
        (b'{"id": ' + b"1" * 5000 + b"}", json_rpc.PARSE_ERROR),
        (b"[" * 500_000, json_rpc.PARSE_ERROR),
        (b" " * bounds.TOOL_MESSAGE + b"{}", json_rpc.INVALID_REQUEST),
        (b"5", json_rpc.INVALID_REQUEST),
        (b"{}", json_rpc.INVALID_REQUEST),
    ],
)
def test_what_cannot_be_read(line: bytes, code: int) -> None:
    with pytest.raises(RpcError) as found:
        json_rpc.read(line)
    assert (code, None) == (found.value.code, found.value.id)


@pytest.mark.parametrize(
    ("changes", "code", "identity"),
    [
        ({"jsonrpc": "1.0"}, json_rpc.INVALID_REQUEST, 1),
        ({"method": 5}, json_rpc.INVALID_REQUEST, 1),
        ({"params": [1]}, json_rpc.INVALID_PARAMS, 1),
        ({"id": None}, json_rpc.INVALID_REQUEST, None),
        ({"id": 1.5}, json_rpc.INVALID_REQUEST, None),
        ({"id": True}, json_rpc.INVALID_REQUEST, None),
        ({"id": {}}, json_rpc.INVALID_REQUEST, None),
    ],
)
def test_a_wrong_request_is_told_by_its_identity_if_it_has_one(
    changes: dict[str, Any], code: int, identity: Any
) -> None:
    with pytest.raises(RpcError) as found:
        read({**PING, **changes})
    assert (code, identity) == (found.value.code, found.value.id)
