"""Serving a model: from options to a running server, until it is told to stop."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import shlex
import signal
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import runtime
from runtime.container.bundle_file import Bundle, program_name
from runtime.devices import remote, selection
from runtime.dialogue import session_disk
from runtime.dialogue.confinement import confine
from runtime.dialogue.fallback import remote_client
from runtime.dialogue.fallback.remote_model import RemoteModel
from runtime.dialogue.open_backend import locate, open_backend, open_documents, shared
from runtime.dialogue.session_disk import Disk, DiskOutside, OwnDisk
from runtime.errors import PortError, UsageError
from runtime.host import desktop, resources
from runtime.host.std_streams import notify
from runtime.host.unpack_dir import frozen_folder
from runtime.json_schema import validator
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options
from runtime.sandbox.outside import Outside, Reply
from runtime.server import app
from runtime.server.access import rules_of
from runtime.server.fallback_proxy import FallbackProxy
from runtime.server.http import api_prefix, assets, listener, unix_socket
from runtime.server.http.listener import Listener
from runtime.server.http.request_body import BodyReader
from runtime.server.service.metrics import Metrics
from runtime.server.service.rest import Workers
from runtime.server.service.saved_slots import SavedSlots
from runtime.server.service.service import Identity, Service
from runtime.server.service.web_pictures import web_pictures
from runtime.server.supervisor import Supervisor

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
    path_of_socket = unix_socket.path_of(options.host)
    if path_of_socket and (browser or on_desktop):
        raise UsageError(
            f"a browser cannot open {options.host}", hint="listen on 127.0.0.1, or leave out --open"
        )
    with _removing(path_of_socket):
        _run(bundle, options, path, embedded, unguarded, browser, on_desktop)


@contextlib.contextmanager
def _removing(path: Path | None) -> Iterator[None]:
    """Have a UNIX socket removed in the end, which the sandbox does not let this process do.

    The process that does it is forked before there is a socket, which it would keep open.
    """
    remover = Outside({}, lambda: unix_socket.remove_left(path)) if path else None
    try:
        yield
    finally:
        if remover:
            remover.close()


def _run(
    bundle: Bundle | None,
    options: Options,
    path: Path | None,
    embedded: bool | None,
    unguarded: bool,
    browser: bool,
    on_desktop: bool,
) -> None:
    resources.keep_little_memory()
    rules = rules_of(options, unguarded=unguarded)
    _require_possible(options)
    listener.check_certificate(options)
    if options.slot_save_path and not Path(options.slot_save_path).is_dir():
        raise UsageError(
            f"{options.slot_save_path} is not a folder", hint="make it, or name another"
        )
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
    address = listener.url(sock, options)
    if not rules.keys and (not rules.loopback or "*" in rules.origins):
        place = sock.getsockname()  # of a UNIX socket its path
        everybody = place if isinstance(place, str) else listener.authority(*place[:2])
        print(
            f"warning: no API key is asked for: everybody who can reach {everybody} can use this "
            "server",
            file=sys.stderr,
        )
    browser = browser or on_desktop
    idle = IDLE_SECONDS if on_desktop else None
    elsewhere = listener.url_for_others(sock, options)
    files = assets.read(page_folder())
    counts, used = Metrics.shared(options.workers), Workers.shared(options.workers)

    by_devices = selection.may_use_devices(options)
    open_browser = _browser_opener(address, options) if browser else None

    def started() -> None:
        print(welcome(address, elsewhere, rules.prefix), file=sys.stderr, flush=True)
        if open_browser:
            threading.Thread(target=open_browser, daemon=True).start()

    def work(number: int, died: int, life: int | None, ready: Callable[[], None]) -> bool:
        left = options
        if died and options.rpc:  # with a machine of these
            left = dataclasses.replace(options, rpc=remote.usable(options.rpc, notify))
        if by_devices and (number or died):
            left = selection.by_processor(left)
        if by_devices and died:
            notify(f"worker {number + 1} goes on without GPUs, by the processor alone")
        metrics = Metrics(counts, options.workers, number)
        # What loading has to say is the same in all workers; that one falls back is not.
        tell: Callable[[str], None] = (lambda _: None) if number else notify
        if isinstance(found, ModelFile) and found.shared:
            found.shared.belongs_to(number)
        disk = _slots_disk(options)  # before anything starts a thread: it may fork
        pictures = web_pictures(options)  # likewise
        backend = open_backend(
            found,
            left,
            tell,
            announce=lambda text: notify(f"worker {number + 1}: {text}" if number else text),
        )
        try:
            open_documents(backend, bundle, left, tell)
            cut: Callable[[], None]
            ticked: Callable[[bool], object] | None = None
            if isinstance(backend, RemoteModel):
                proxy = FallbackProxy(backend, program_name(bundle), BodyReader(rules.body_max))
                application, cut = app.build_remote(proxy, rules, files, metrics), proxy.stop
            else:
                if path is None:  # a state is taken from this very file alone
                    backend.prewarm()
                # Accept no more; what is being answered with an error still gets out.
                backend.when_lost = lambda: os.kill(os.getpid(), signal.SIGTERM)
                slots = SavedSlots(backend, disk) if disk else None
                identity = identity_of(bundle, options, backend.file)
                workers = Workers(options.workers, used, number) if options.sleeps else None
                service = Service(backend, metrics, identity, slots, pictures, workers)
                application, cut = app.build(service, rules, files), service.stop
                if service.rest:
                    ticked = service.rest.tick

            def accepted() -> None:
                ready()
                threading.Thread(target=load_late, daemon=True).start()

            listening = Listener(
                application, options, started=accepted, cut=cut, idle=idle, ticked=ticked
            )
            confine(backend, options, tell, accepts=True)
            stay_prompt()
            listening.serve_on(sock, life)
            return listening.unused
        finally:
            metrics.set("workers", 0)
            backend.close()

    with sock:
        if options.workers == 1 and not (options.rpc or by_devices):
            work(0, 0, None, started)
            return
        if options.workers > 1:
            cores = resources.physical_cores()
            threads = options.threads or max(1, cores // options.workers)
            options = dataclasses.replace(options, threads=threads)
            found = shared(found, options, notify)
            if by_devices:
                notify("GPUs compute for the first worker; the others use the processor alone")
        # One that dies with a machine that is lost, or by a GPU's driver, is started again.
        Supervisor(
            work, options.workers, grace=options.grace, started=started, patient=by_devices
        ).run()


def _require_possible(options: Options) -> None:
    """Raise UsageError for options that contradict each other."""
    if options.sleep_idle_seconds == 0:
        raise UsageError(
            "--sleep-idle-seconds 0 leaves no time to answer", hint="1 is the least, -1 is never"
        )
    if options.rpc and options.sleeps:
        raise UsageError(
            "a model that other machines compute cannot be loaded again",
            hint="leave out --sleep-idle-seconds, or --rpc",
        )
    if options.rpc and options.workers > 1:
        raise UsageError(
            "other machines compute for one worker process alone",
            hint="leave out --workers; --parallel answers several at a time",
        )


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


def _slots_disk(options: Options) -> Disk | None:
    """Return the folder that slots are saved to, also from inside the sandbox; None for none."""
    if not options.slot_save_path:
        return None
    folder = Path(options.slot_save_path).absolute()
    if not options.sandbox:
        return OwnDisk(folder)
    return DiskOutside(Outside(session_disk.services(folder)))


def stay_prompt() -> None:
    """Let no request wait long for what Python does for others; called once all is loaded."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what stays until the end need not be looked through for garbage time and again


def load_late() -> None:
    """Load what the first request with a JSON schema needs, and would hold others up with."""
    validator.load()
    gc.freeze()


def welcome(address: str, elsewhere: str, prefix: str = "") -> str:
    """Return the text printed once requests are accepted; `elsewhere` is the URL for others.

    `prefix` is what all paths are below, which URLs have in them. Programs read the first line.
    """
    if address.startswith(unix_socket.SCHEME):
        path = shlex.quote(address.removeprefix(unix_socket.SCHEME))
        asked = f"curl --unix-socket {path} http://localhost{prefix}/v1/models"
        return f"listening on {address}\n  ask it:  {asked}\nCtrl-C ends it"
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
    address += api_prefix.normalised(options.api_prefix)
    try:
        with urllib.request.urlopen(f"{address}/props", timeout=2) as response:
            found = json.load(response)["modelembed"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return address if found == name else ""


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
