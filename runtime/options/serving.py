"""The options that say how answers are served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.options.spec import option


@dataclass(frozen=True)
class ServeOptions:
    """How to serve; names and defaults are llama-server's, where it has them and they are safe."""

    host: str = option(
        "127.0.0.1",
        "--host",
        metavar="ADDRESS",
        help="address to listen at; any but this machine's own asks for --api-key",
    )
    port: int = option(
        8080,
        "--port",
        low=0,
        high=65535,
        metavar="N",
        help="port to listen at, 0 for any that is free",
    )
    api_key: str = option(
        "",
        "--api-key",
        baked=False,
        metavar="KEY,…",
        help="answer only who sends one of these keys (also in MODELEMBED_API_KEY)",
    )
    api_key_file: str = option(
        "",
        "--api-key-file",
        baked=False,
        metavar="FILE",
        help="the same, a key a line",
    )
    alias: str = option(
        "",
        "--alias",
        "-a",
        metavar="NAME",
        help="what the model is called in answers (default: its own name)",
    )
    allow_host: tuple[str, ...] = option(
        (),
        "--allow-host",
        metavar="NAME",
        help="a name by which browsers may call this server; repeatable",
    )
    cors_origin: tuple[str, ...] = option(
        (),
        "--cors-origin",
        metavar="ORIGIN",
        help="let pages from ORIGIN (https://example.org) call this server, * for all; repeatable",
    )
    ssl_key_file: str = option(
        "",
        "--ssl-key-file",
        "--ssl-keyfile",
        metavar="FILE",
        help="serve HTTPS, with this private key (PEM)",
    )
    ssl_cert_file: str = option(
        "",
        "--ssl-cert-file",
        "--ssl-certfile",
        metavar="FILE",
        help="serve HTTPS, with this certificate (PEM)",
    )
    workers: int = option(
        1,
        "--workers",
        low=1,
        high=64,
        metavar="N",
        help="processes behind the one port, sharing the weights and the cores",
    )
    queue: int = option(
        64,
        "--queue",
        low=0,
        metavar="N",
        help="requests that may wait for their turn; more are told to come again",
    )
    grace: float = option(
        10.0,
        "--grace",
        low=0.0,
        high=86400.0,
        metavar="SECONDS",
        help="time that running answers have at the end",
    )
    timeout: float = option(
        30.0,
        "--timeout",
        "-to",
        low=0.1,
        high=86400.0,
        metavar="SECONDS",
        help="time to send a request in, and to take each part of an answer",
    )
    max_body: float = option(
        8.0,
        "--max-body",
        low=0.001,
        high=2000.0,
        metavar="MB",
        help="largest request",
    )
    access_log: bool = option(False, "--access-log", help="print a line for every request")
    log_text: bool = option(
        False, "--log-text", help="print what is asked and answered, too: it may be private"
    )
    pooling: str = option(
        "auto",
        "--pooling",
        choices=("auto", "mean", "cls", "last"),
        help="how to make embeddings; all but auto do also with a model that was not made for it",
    )


def server_defaults(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of `serve` where they differ from a chat's.

    `overrides` are the values that are baked in or given. Repacked weights would be each worker's
    own, so with several workers they stay as they are, shared between all.
    """
    workers = overrides.get("workers", 1)
    several = isinstance(workers, int) and workers > 1
    return {"parallel": 4, **({"repack": False} if several else {})}
