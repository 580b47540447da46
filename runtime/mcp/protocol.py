"""Protocol: which of its versions are spoken, and how a request tells which one it is of.

https://modelcontextprotocol.io/specification

Up to 2025-11-25 a connection begins with `initialize`, which settles the version. From 2026-07-28
on there is no beginning: each request says of which version it is.

What a server of tools needs of it is little, and written here: the official SDK would add 6 MB to
the file, most of it for servers over HTTP, and 0.9 s to each start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.mcp.json_rpc import INVALID_PARAMS, RpcError

SETTLED = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS = ("2026-07-28",)
UNSUPPORTED_VERSION = -32022

META = "_meta"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
SERVER_KEY = "io.modelcontextprotocol/serverInfo"
HOUR_MS = 3_600_000
"""For which clients may keep what does not change while this program runs."""


def settled(wanted: Any) -> str:
    """Return the version of a connection: the one that is wanted, or else the latest."""
    return wanted if wanted in SETTLED else SETTLED[-1]


def is_stateless(params: Mapping[str, Any]) -> bool:
    """Return whether a request says of which version it is.

    Raise RpcError if that is not one of those, or if it does not say all that it must.
    """
    meta = params.get(META)
    if not isinstance(meta, dict) or VERSION_KEY not in meta:
        return False
    version = meta[VERSION_KEY]
    if not isinstance(version, str) or not isinstance(meta.get(CAPABILITIES_KEY), dict):
        raise RpcError(
            INVALID_PARAMS,
            f"'{META}' must have a text as '{VERSION_KEY}' and an object as '{CAPABILITIES_KEY}'",
        )
    if version not in STATELESS:
        raise unsupported(version, STATELESS)
    return True


def unsupported(version: Any, supported: tuple[str, ...]) -> RpcError:
    """Return the error for a version that is not spoken."""
    return RpcError(
        UNSUPPORTED_VERSION,
        f"this version is not spoken here, only {', '.join(supported)}",
        {"supported": [*supported], "requested": version},
    )


def complete(found: Mapping[str, Any], server: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer as it is without a settled version: it says what it is, and from whom."""
    return {**found, "resultType": "complete", META: {SERVER_KEY: server}}


def cacheable(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with for how long it may be kept, and that all may have it."""
    return {**found, "ttlMs": HOUR_MS, "cacheScope": "public"}
