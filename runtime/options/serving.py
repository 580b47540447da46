"""The options of a server, and the defaults that only a server has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime import bounds
from runtime.options.spec import option

SERVER_DEFAULTS: Mapping[str, Any] = {"parallel": 4}
"""Defaults of a server where they differ from those of a chat."""

NEVER = -1
"""Seconds of idleness, as llama-server has it."""


def server_defaults(overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return SERVER_DEFAULTS, and what else follows from the options set in `overrides`."""
    if overrides.get("workers", 1) > 1:
        # Every worker would have its own repacked weights; as they are, all share one copy.
        return {**SERVER_DEFAULTS, "repack": False}
    return SERVER_DEFAULTS


@dataclass(frozen=True, init=False, repr=False, eq=False)  # Options has these
class ServingOptions:
    """How to serve; flags and defaults are llama-server's, where it has them and they are safe."""

    @property
    def sleeps(self) -> bool:
        """Return whether the model is freed when nobody asks it anything."""
        return self.sleep_idle_seconds != NEVER

    host: str = option(
        "127.0.0.1",
        "--host",
        metavar="ADDRESS",
        help="address to listen on; one that other machines can reach requires --api-key; "
        "unix:PATH, or a path that ends in .sock, is a UNIX socket",
    )
    port: int = option(
        8080,
        "--port",
        low=0,
        high=65535,
        metavar="N",
        help="port to listen on, 0 for any free port",
    )
    api_prefix: str = option(
        "",
        "--api-prefix",
        metavar="/PATH",
        help="serve the page and all APIs below this path, as behind a proxy",
    )
    api_key: str = option(
        "",
        "--api-key",
        baked=False,
        metavar="KEY,…",
        help="API keys, one of which clients must send (also in MODELEMBED_API_KEY)",
    )
    api_key_file: str = option(
        "",
        "--api-key-file",
        baked=False,
        metavar="FILE",
        help="file with API keys, one per line",
    )
    alias: str = option(
        "",
        "--alias",
        "-a",
        metavar="NAME",
        help="model name in API responses (default: the model's own name)",
    )
    allow_host: tuple[str, ...] = option(
        (),
        "--allow-host",
        metavar="NAME",
        help="additional host name under which browsers may call this server; repeatable",
    )
    cors_origin: tuple[str, ...] = option(
        (),
        "--cors-origin",
        metavar="ORIGIN",
        help="allow web pages from ORIGIN (https://example.org) to call this server, * for "
        "all; repeatable",
    )
    ssl_key_file: str = option(
        "",
        "--ssl-key-file",
        "--ssl-keyfile",
        metavar="FILE",
        help="serve HTTPS with this private key (PEM)",
    )
    ssl_cert_file: str = option(
        "",
        "--ssl-cert-file",
        "--ssl-certfile",
        metavar="FILE",
        help="serve HTTPS with this certificate (PEM)",
    )
    workers: int = option(
        1,
        "--workers",
        low=1,
        high=64,
        metavar="N",
        help="number of server processes; they share the port, the weights and the CPU cores",
    )
    queue: int = option(
        bounds.QUEUE,
        "--queue",
        low=0,
        metavar="N",
        help="maximum number of waiting requests; further ones are rejected",
    )
    grace: float = option(
        10.0,
        "--grace",
        low=0.0,
        high=86400.0,
        metavar="SECONDS",
        help="time that running answers have to finish on shutdown",
    )
    timeout: float = option(
        bounds.SEND_SECONDS,
        "--timeout",
        "-to",
        low=0.1,
        high=86400.0,
        metavar="SECONDS",
        help="time limit for sending a request, and for receiving each part of an answer",
    )
    max_body: float = option(
        bounds.BODY / 1_000_000,
        "--max-body",
        low=0.001,
        high=2000.0,
        metavar="MB",
        help="maximum size of a request",
    )
    sleep_idle_seconds: int = option(
        NEVER,
        "--sleep-idle-seconds",
        low=NEVER,
        high=10**9,
        metavar="N",
        words={"never": NEVER},
        help="free the model's memory after N seconds without a request; the next one loads it "
        "again (default: never)",
    )
    slot_save_path: str = option(
        "",
        "--slot-save-path",
        baked=False,
        metavar="FOLDER",
        help="let clients save the state of slots to files in FOLDER, and restore it",
    )
    allow_image_urls: bool = option(
        False,
        "--allow-image-urls",
        help="fetch pictures that requests name by their address on the public internet",
    )
    access_log: bool = option(False, "--access-log", help="log every request")
    log_text: bool = option(
        False, "--log-text", help="log prompts and answers too, which may be private"
    )
    pooling: str = option(
        "auto",
        "--pooling",
        choices=("auto", "mean", "cls", "last"),
        help="pooling type for embeddings; all but auto also work with models not made for "
        "embeddings",
    )
