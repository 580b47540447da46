"""Access: from options to the rules of who may ask the server."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from runtime.errors import UsageError
from runtime.host.user_files import read_text
from runtime.options.registry import Options
from runtime.server.http import api_prefix, unix_socket
from runtime.server.http.guard import Rules, own_names

KEY_VARIABLE = "MODELEMBED_API_KEY"
MEGABYTE = 1_000_000


def rules_of(options: Options, *, unguarded: bool) -> Rules:
    """Return the access rules; raise UsageError if anybody on the network could use the server."""
    # A socket that its owner alone can connect to needs no key.
    loopback = bool(unix_socket.path_of(options.host)) or is_loopback(options.host)
    keys = keys_of(options)
    if not loopback and not keys and not unguarded:
        raise UsageError(
            f"whoever can reach {options.host} could use this server",
            hint="ask for a key with --api-key KEY, or let everybody in with --no-api-key",
        )
    if keys and unguarded:
        raise UsageError("--api-key and --no-api-key contradict each other")
    return Rules(
        keys,
        own_names(options.allow_host, loopback=loopback),
        loopback,
        frozenset(origin.lower().rstrip("/") for origin in options.cors_origin),
        int(options.max_body * MEGABYTE),
        options.access_log,
        api_prefix.normalised(options.api_prefix),
    )


def is_loopback(host: str) -> bool:
    """Return whether `host` is reachable from this machine only; a name may resolve to anything."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def keys_of(options: Options) -> tuple[str, ...]:
    """Return the API keys from option, file and environment; empty if none is required."""
    found = [*options.api_key.split(","), *os.environ.get(KEY_VARIABLE, "").split(",")]
    if options.api_key_file:
        found += read_text(Path(options.api_key_file)).splitlines()
    return tuple(key.strip() for key in found if key.strip())
