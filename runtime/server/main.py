"""Serving a model: from options to a running server, until it is told to stop."""

from __future__ import annotations

import dataclasses
import gc
import ipaddress
import json
import os
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import runtime
from runtime.container.bundle_file import Bundle, program_name
from runtime.dialogue import remote_client
from runtime.dialogue.confinement import confine
from runtime.dialogue.open_backend import locate, open_backend, shared
from runtime.dialogue.remote_model import RemoteModel
from runtime.errors import PortError, UsageError
from runtime.host import desktop, resources
from runtime.host.std_streams import notify
from runtime.host.unpack_dir import frozen_folder
from runtime.host.user_files import read_text
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options
from runtime.sandbox.outside import Outside, Reply
from runtime.server import app
from runtime.server.fallback_proxy import FallbackProxy
from runtime.server.http import assets, listener
from runtime.server.http.guard import Rules, own_names
from runtime.server.http.listener import Listener
from runtime.server.http.request_body import BodyReader
from runtime.server.service.metrics import Metrics
from runtime.server.service.service import Identity, Service
from runtime.server.supervisor import Supervisor

KEY_VARIABLE = "MODELEMBED_API_KEY"
MEGABYTE = 1_000_000
IDLE_SECONDS = 3600.0
"""Without a request; then a server that was started from a desktop ends."""
SWITCH_SECONDS = 0.0005
"""After which a thread lets another run. Each event of the event loop, and each call of the
decoding thread into the engine, waits as long for every thread that prepares a request."""


def run(
    bundle: Bundle | None,
    options: Options,
    path: Path | None,
    embedded: bool | None,
    *,
    unguarded: bool = False,
    browser: bool = False,
    on_desktop: bool = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    `unguarded` allows any address without an API key; `browser` opens a browser. `on_desktop` is
    a start without a terminal: the browser opens, any free port is taken, and the server stops
    when it is idle. Raise AppError if the server cannot start.
    """
    resources.keep_little_memory()
    rules = rules_of(options, unguarded=unguarded)
    listener.check_certificate(options)
    listener.silence_loggers()
    server = remote_client.configured(options)
    if server and (obstacle := server.obstacle):
        notify(f"the fallback will not be available: {obstacle.problem} ({obstacle.hint})")
    found = locate(bundle, path, embedded, options, notify)
    try:
        sock = listener.bind(options)
    except PortError:
        if not on_desktop:
            raise
        if address := running(options, program_name(bundle)):
            desktop.open_browser(address)
            return
        sock = listener.bind(dataclasses.replace(options, port=0))
    if not rules.keys and (not rules.loopback or "*" in rules.origins):
        everybody = listener.authority(*sock.getsockname()[:2])
        print(
            f"warning: no API key is asked for: everybody who can reach {everybody} can use this "
            "server",
            file=sys.stderr,
        )
    browser = browser or on_desktop
    idle = IDLE_SECONDS if on_desktop else None
    address = listener.url(sock, options)
    elsewhere = listener.url_for_others(sock, options)
    files = assets.read(page_folder())
    counts = Metrics.shared(options.workers)

    open_browser = _browser_opener(address, options) if browser else None

    def started() -> None:
        print(welcome(address, elsewhere), file=sys.stderr, flush=True)
        if open_browser:
            threading.Thread(target=open_browser, daemon=True).start()

    def work(number: int, life: int | None, ready: Callable[[], None]) -> None:
        metrics = Metrics(counts, options.workers, number)
        # What loading has to say is the same in all workers; that one falls back is not.
        tell: Callable[[str], None] = (lambda _: None) if number else notify
        backend = open_backend(
            found,
            options,
            tell,
            announce=lambda text: notify(f"worker {number + 1}: {text}" if number else text),
        )
        try:
            cut: Callable[[], None]
            if isinstance(backend, RemoteModel):
                proxy = FallbackProxy(backend, program_name(bundle), BodyReader(rules.body_max))
                application, cut = app.build_remote(proxy, rules, files, metrics), proxy.stop
            else:
                if path is None:  # a state is taken from this very file alone
                    backend.prewarm()
                service = Service(backend, metrics, identity_of(bundle, options, backend.file))
                application, cut = app.build(service, rules, files), service.stop
            listening = Listener(application, options, started=ready, cut=cut, idle=idle)
            confine(backend, options, tell, accepts=True)
            stay_prompt()
            listening.serve_on(sock, life)
        finally:
            metrics.set("workers", 0)
            backend.close()

    if options.workers == 1:
        work(0, None, started)
        return
    cores = resources.physical_cores()
    options = dataclasses.replace(
        options, threads=options.threads or max(1, cores // options.workers)
    )
    found = shared(found, options, notify)
    Supervisor(work, options.workers, grace=options.grace, started=started).run()


def _browser_opener(address: str, options: Options) -> Callable[[], None]:
    """Return what opens `address` in the browser, also from inside the sandbox."""

    def open_it(*_: object) -> Reply:
        desktop.open_browser(address)
        return Reply({})

    if not options.sandbox:
        return lambda: desktop.open_browser(address)
    outside = Outside({"open_browser": open_it})

    def ask() -> None:
        outside.ask("open_browser")

    return ask


def stay_prompt() -> None:
    """Let no request wait long for what Python does for others; called once all is loaded."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what stays until the end need not be looked through for garbage time and again


def welcome(address: str, elsewhere: str) -> str:
    """Return the text printed once requests are accepted; `elsewhere` is the URL for others.

    Programs read the first line.
    """
    lines = [
        f"listening on {address}",
        f"  chat in a browser:  {address}/",
        f"  API for programs:   {address}/v1",
    ]
    if elsewhere:
        lines.append(f"  other machines:     {elsewhere}/ (listening on all networks)")
    return "\n".join([*lines, "Ctrl-C ends it"])


def running(options: Options, name: str) -> str:
    """Return the URL of a server of this program already on that port; empty if there is none."""
    address = f"http://{listener.authority(options.host, options.port)}"
    try:
        with urllib.request.urlopen(f"{address}/props", timeout=2) as response:
            found = json.load(response)["modelembed"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return address if found == name else ""


def rules_of(options: Options, *, unguarded: bool) -> Rules:
    """Return the access rules; raise UsageError if anybody on the network could use the server."""
    loopback = is_loopback(options.host)
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


def identity_of(bundle: Bundle | None, options: Options, source: ModelFile) -> Identity:
    """Return the names and versions of the program and the model."""
    name = program_name(bundle)
    manifest = source.bundle.manifest if source.bundle else None
    own = str(source.header.metadata.get("general.name") or "")
    alias = options.alias or (manifest.name if manifest else "") or own or "model"
    licence = str(manifest.model.get("license", "")) if manifest else ""
    return Identity(name, alias, licence)


def page_folder() -> Path:
    """Return the folder of the page's files, in the executable or in the source tree."""
    if frozen := frozen_folder():
        return frozen / "page"
    return Path(runtime.__file__).parent / "page"
