"""Listening socket, and the uvicorn server on it."""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import logging
import os
import signal
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from runtime import bounds
from runtime.errors import PortError, UsageError
from runtime.host import interrupts, resources, std_streams
from runtime.options.registry import Options
from runtime.server.http import api_prefix, unix_socket
from runtime.server.http.guard import App
from runtime.server.http.http_connection import Connection

KEEP_ALIVE_SECONDS = 65
LAST_SECONDS = 0.6
"""For the last words of answers that are cut at the end."""
LEAVING_SECONDS = 0.1
"""For threads that prepare a request then; what goes on in the engine cannot be stopped."""
EVERYWHERE = ("0.0.0.0", "::")
"""These stand for all networks of this machine."""
SEND_BUFFER = 1 << 18
RETURN_TICKS = 300
"""Tenths of a second after which free memory is returned, if there were requests meanwhile."""
SIOCGIFADDR = 0x8915
Result = TypeVar("Result")
TWICE_SECONDS = 0.5
"""The launcher passes signals on that the terminal has sent already: they come twice."""


def bind(options: Options) -> socket.socket:
    """Return a listening socket.

    Raise UsageError if the address is invalid, PortError if it cannot be used.
    """
    if path := unix_socket.path_of(options.host):
        return unix_socket.bind(path)
    try:
        found = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as exc:
        raise UsageError(
            f"there is no address '{options.host}': {exc.strerror}",
            hint="127.0.0.1 is this machine alone, 0.0.0.0 all its networks",
        ) from exc
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections take it over: a client that reads nothing fills no megabytes.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        sock.bind(address)
        sock.listen(bounds.BACKLOG)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise PortError(
            f"port {options.port} of {options.host} cannot be used: {exc.strerror}",
            hint="choose another with --port, 0 for any that is free",
        ) from exc
    return sock


def url(sock: socket.socket, options: Options) -> str:
    """Return the server's URL on this machine; of a UNIX socket, its path behind `unix:`."""
    if sock.family == socket.AF_UNIX:
        return f"{unix_socket.SCHEME}{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return _url("localhost" if host in EVERYWHERE else host, port, options)


def url_for_others(sock: socket.socket, options: Options) -> str:
    """Return the server's URL for other machines; empty unless it listens on all interfaces."""
    if sock.family == socket.AF_UNIX:
        return ""
    host, port = sock.getsockname()[:2]
    if host not in EVERYWHERE:
        return ""
    return _url(network_address() or socket.gethostname(), port, options)


def _url(host: str, port: int, options: Options) -> str:
    scheme = "https" if options.ssl_cert_file else "http"
    return f"{scheme}://{authority(host, port)}{api_prefix.normalised(options.api_prefix)}"


def authority(host: str, port: int) -> str:
    """Return host and port as in a URL, RFC 3986: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def network_address() -> str:
    """Return an IPv4 address at which other machines may reach this one; empty if there is none.

    The interfaces are read as in netdevice(7), in the system's order; nothing is sent.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(sock, SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:  # it has none
                continue
            # A struct ifreq: 16 bytes of name, then a sockaddr_in with the address in bytes 4 to 8.
            address = ipaddress.IPv4Address(found[20:24])
            if not address.is_loopback:
                return str(address)
    return ""


def check_certificate(options: Options) -> None:
    """Raise UsageError if the files for HTTPS cannot be used."""
    files = options.ssl_cert_file, options.ssl_key_file
    if not any(files):
        return
    if not all(files):
        raise UsageError(
            "HTTPS needs a key and a certificate",
            hint="give both --ssl-keyfile and --ssl-certfile",
        )
    for name in files:
        if not Path(name).is_file():
            raise UsageError(f"{name} cannot be opened", hint="give the path of a PEM file")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*files)
    except (ssl.SSLError, OSError) as exc:
        raise UsageError(
            f"{files[0]} and {files[1]} cannot be used for HTTPS: {exc}",
            hint="they must be a certificate and its own key, both PEM, the key without a password",
        ) from exc


def silence_loggers() -> None:
    """Turn off the logs of uvicorn and asyncio: this program reports errors itself."""
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class RequestThreads(ThreadPoolExecutor):
    """Threads in which requests are prepared; the event loop does not wait for them at its end."""

    def __init__(self) -> None:
        super().__init__()
        self._running: set[Future[Any]] = set()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let each end once it has done what it does."""
        super().shutdown(wait=False, cancel_futures=True)

    def submit(self, fn: Callable[..., Result], /, *arguments: Any, **named: Any) -> Future[Result]:
        """Let a thread call it."""
        future = super().submit(fn, *arguments, **named)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    @property
    def busy(self) -> bool:
        """Return whether one does something, even if nobody waits for it any more."""
        return bool(self._running)

    def left_after(self, seconds: float) -> bool:
        """Return whether one still does something after so many seconds."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return any(thread.is_alive() for thread in self._threads)


class Listener(uvicorn.Server):
    """A server that runs until SIGTERM or Ctrl-C, then gives running answers time to end."""

    def __init__(
        self,
        app: App,
        options: Options,
        *,
        started: Callable[[], None],
        cut: Callable[[], None],
        idle: float | None = None,
        ticked: Callable[[bool], object] | None = None,
    ) -> None:
        """Stop after `idle` seconds without a request, if given.

        Call `ticked` ten times a second, with whether a thread prepares something for a request.

        Call `started` when requests are accepted, `cut` when running answers must end.
        """

        class Patient(Connection):
            patience = options.timeout

        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=Patient,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                backlog=bounds.BACKLOG,
                h11_max_incomplete_event_size=2 * bounds.HEADER_BYTES,  # with what stands between
                ssl_keyfile=options.ssl_key_file or None,
                ssl_certfile=options.ssl_cert_file or None,
            )
        )
        self.config.load()  # reads the certificate: no file can be opened in the sandbox
        self._grace = options.grace
        self._stopped_at = 0.0
        self._idle = idle
        self.unused = False
        """Whether it has stopped since nobody asks it anything."""
        self._seen, self._seen_at = 0, time.monotonic()
        self._returned = 0
        """Requests seen when free memory was returned the last time."""
        self._started = started
        self._cut = cut
        self._ticked = ticked
        self._threads = RequestThreads()

    def serve_on(self, sock: socket.socket, life: int | None = None) -> None:
        """Serve until told to stop, or until the other end of the pipe `life` is closed."""
        asyncio.run(self._until_stopped(sock, life))
        if self._threads.left_after(LEAVING_SECONDS):
            # They use the model, which cannot be freed before: the system does it.
            sys.stderr.flush()
            os._exit(0)

    async def _until_stopped(self, sock: socket.socket, life: int | None) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(self._threads)
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        if not interrupts.interrupts_ignored():
            # A supervisor hears Ctrl-C as well, and passes it on.
            loop.add_signal_handler(signal.SIGINT, self._interrupted if life is None else _ignore)
        if life is not None:
            loop.add_reader(life, self._orphaned, life)
        await self._serve([sock])

    def _orphaned(self, life: int) -> None:
        asyncio.get_running_loop().remove_reader(life)
        self.stop()

    def _interrupted(self) -> None:
        if not self.should_exit:
            std_streams.end_line()
        self.stop()

    def stop(self) -> None:
        """Accept no more requests; when called again, do not wait for running answers either."""
        now = time.monotonic()
        if self.should_exit and now - self._stopped_at > TWICE_SECONDS:
            self._cut()
        if not self.should_exit:
            self._stopped_at = now
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; called ten times a second."""
        total, now = self.server_state.total_requests, time.monotonic()
        if self._seen != total or self.server_state.tasks:
            self._seen, self._seen_at = total, now
        if counter % RETURN_TICKS == 0 and self._returned != total:
            self._returned = total
            threading.Thread(target=resources.return_free_memory, daemon=True).start()
        if self._ticked:
            self._ticked(self._threads.busy)
        if self._idle is not None and now - self._seen_at > self._idle:
            self.unused = True
            self.stop()
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept requests."""
        await super().startup(sockets)
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Give running answers their grace period, then end them."""
        loop = asyncio.get_running_loop()
        cutting = loop.call_later(self._grace, self._cut)
        self.config.timeout_graceful_shutdown = self._grace + LAST_SECONDS  # type: ignore[assignment]
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()


def _ignore() -> None:
    """Ignore a signal."""
