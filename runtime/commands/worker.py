"""`worker`: lets other machines compute on this one."""

from __future__ import annotations

import ipaddress
import socket
import sys

from runtime.devices import engine, rpc_library, tensor_cache
from runtime.devices.worker import Offer, Worker
from runtime.errors import PortError, UsageError, WorkerError
from runtime.host import resources
from runtime.host.std_streams import notify
from runtime.options.registry import Options
from runtime.units import counted, gigabytes

GIGABYTE = 1_000_000_000
SPARED = 0.9
"""Of the memory that is free: the rest is for the system and what computes."""
WAITING = 128
"""Connections that the system keeps until they are accepted."""


def run(
    host: str,
    port: int,
    *,
    memory: float | None,
    threads: int,
    cache: float,
    trusted: bool,
    device: str,
    verbose: bool,
) -> None:
    """Serve until SIGTERM or Ctrl-C; `memory` and `cache` are GB. Raise AppError if it cannot."""
    address = address_of(host)
    if not address.is_loopback and not trusted:
        raise UsageError(
            f"whoever can reach {host} could use this machine, and take it over: the protocol "
            "knows no passwords",
            hint="only in a network of your own machines: --i-trust-this-network; or reach it "
            "through a tunnel: ssh -L",
        )
    if cache:
        tensor_cache.prepare()
    listening = bind(str(address), port)
    variant, gpus = engine.start_processor(Options(threads=threads, device=device, verbose=verbose))
    if gpus.problem and device:
        notify(f"no GPU is lent: {gpus.problem}")
    offer = Offer(
        threads or resources.physical_cores(), _memory(memory), int(cache * GIGABYTE), gpus
    )
    rpc_library.set_patience(0)
    if not address.is_loopback:
        print(
            f"warning: everybody who can reach {host} can use this machine's memory and processor, "
            "and read what it computes",
            file=sys.stderr,
        )
    where = "{}:{}".format(*listening.getsockname()[:2])
    print(f"listening on {where}", file=sys.stderr)
    print(f"  offers:  {described(offer, variant.name)}", file=sys.stderr)
    print(f"  there:   --rpc {where}", file=sys.stderr)
    print("Ctrl-C ends it", file=sys.stderr, flush=True)
    with listening:
        Worker(listening, offer, notify).run()


def address_of(host: str) -> ipaddress.IPv4Address:
    """Return the IPv4 address of `host`; raise UsageError if it has none."""
    try:
        return ipaddress.IPv4Address("127.0.0.1" if host == "localhost" else host)
    except ValueError as exc:
        raise UsageError(
            f"'{host}' is no IPv4 address of this machine",
            hint="for example 127.0.0.1, for this machine alone, or 0.0.0.0, for all networks",
        ) from exc


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise PortError if it cannot be had."""
    try:
        return socket.create_server((host, port), backlog=WAITING)
    except OSError as exc:
        raise PortError(
            f"port {port} at {host} cannot be listened on: {exc.strerror}",
            hint="name another with --port, 0 for any that is free",
        ) from exc


def described(offer: Offer, variant: str) -> str:
    """Return what is offered, in words."""
    if offer.gpus.devices:
        text = ", ".join(f"{gpu.title} by {gpu.by}" for gpu in offer.gpus.devices)
    else:
        threads = counted(offer.threads, "thread")
        text = f"{gigabytes(offer.memory)} of memory, {threads} ({variant})"
    if offer.cache:
        text += f", tensors kept in {offer.folder} (up to {gigabytes(offer.cache)})"
    return text


def _memory(wanted: float | None) -> int:
    """Return the bytes to offer; raise WorkerError if there are not as many."""
    available = resources.available_memory()
    if wanted is None:
        return int(SPARED * (available or 0))
    bytes_wanted = int(wanted * GIGABYTE)
    if available is not None and bytes_wanted > available:
        raise WorkerError(
            f"{gigabytes(bytes_wanted)} are to be offered, {gigabytes(available)} are free",
            hint="close other programs, or offer less with --memory",
        )
    return bytes_wanted
