"""Machines that compute a part of the model: found by their names, asked, used by the engine.

ggml's backend for them ends the program when a machine cannot be reached, and waits for ever for
one that says nothing. So each is looked up and connected to here first, and then asked by ggml in a
child process with a time limit.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.devices import backend, rpc_library
from runtime.devices.backend import RPC, Device
from runtime.errors import UsageError, WorkerError
from runtime.host.library_paths import RPC_PROTOCOL
from runtime.model import llama_api
from runtime.units import counted, gigabytes

MOST = 16
"""Of ggml-rpc.h: the machines that ggml can use."""
CONNECT_SECONDS = 5
ANSWER_SECONDS = 10
PORT = 50052
"""llama.cpp's default."""
HOW = (
    f"start it there: worker --port {PORT}; it listens where --host says, and a firewall may be "
    "between"
)
LOST = re.compile(r"lost the worker (\S+)")
"""What the engine says before it ends the program; see runtime/devices/cpp/ours.h."""


@dataclass(frozen=True)
class Machine:
    """A machine that answers, and what it offers."""

    name: str
    """As the user named it."""
    endpoint: str
    """Its IPv4 address and port: ggml knows no others."""
    memory: tuple[tuple[int, int], ...] = ()
    """The free and all bytes of each of its devices."""

    @property
    def free(self) -> int:
        """Return the free bytes of all its devices."""
        return sum(free for free, _ in self.memory)

    @property
    def is_here(self) -> bool:
        """Return whether it is reached without a network."""
        return ipaddress.ip_address(self.endpoint.partition(":")[0]).is_loopback

    def line(self) -> str:
        """Return what it offers, in words."""
        total = sum(total for _, total in self.memory)
        devices = counted(len(self.memory), "device")
        return f"{self.name}: {devices}, {gigabytes(self.free)} free of {gigabytes(total)}"


def names(text: str) -> Sequence[str]:
    """Return the names in the value of --rpc; raise UsageError if one is none."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    for name in found:
        host, _, port = name.rpartition(":")
        if not host or ":" in host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise UsageError(
                f"'{name}' is no machine and port",
                hint=f"for example --rpc 192.168.0.2:{PORT},laptop:{PORT}; IPv6 addresses are not "
                "possible",
            )
    if len(found) > MOST:
        raise UsageError(f"{len(found)} machines are named; the engine uses {MOST} at most")
    return list(dict.fromkeys(found))


def machines(text: str) -> Sequence[Machine]:
    """Return the machines named in the value of --rpc; raise WorkerError if one cannot be used.

    Forks, so it must run before any thread is started.
    """
    return [find(name) for name in names(text)]


def usable(text: str, notify: Callable[[str], None]) -> str:
    """Return the value of --rpc without the machines that cannot be used now; tell the user."""
    found = []
    for name in names(text):
        try:
            found.append(find(name).name)
        except WorkerError as exc:
            notify(f"going on without {name}: {exc.problem}")
    if not found:
        notify("no other machine is left: everything is computed on this one")
    return ",".join(found)


def find(name: str) -> Machine:
    """Return the machine called `name`; raise WorkerError if it cannot be reached or used."""
    host, _, port = name.rpartition(":")
    try:
        found = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise WorkerError(
            f"there is no machine called {host} ({getattr(exc, 'strerror', None) or exc})",
            hint="check the name, or write its IPv4 address instead",
        ) from exc
    address = f"{found[0][4][0]}:{port}"
    try:
        socket.create_connection((str(found[0][4][0]), int(port)), CONNECT_SECONDS).close()
    except TimeoutError as exc:
        raise WorkerError(
            f"{name} does not answer within {CONNECT_SECONDS} seconds", hint=HOW
        ) from exc
    except OSError as exc:
        raise WorkerError(f"{name} cannot be reached: {exc.strerror or exc}", hint=HOW) from exc
    return Machine(name, address, _ask(name, address))


def _ask(name: str, endpoint: str) -> tuple[tuple[int, int], ...]:
    """Return the free and all memory of the devices at an endpoint, asked by ggml in a child."""
    with tempfile.TemporaryFile(buffering=0) as out:
        child = os.fork()
        if not child:
            try:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)
                os.dup2(null, 2)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(ANSWER_SECONDS)
                with llama_api.log.captured() as said:
                    llama_api.abort.told = lambda why, _: out.write((said.reason or why).encode())
                    llama_api.start()
                    rpc_library.set_patience(CONNECT_SECONDS)
                    found = rpc_library.devices_at(endpoint)
                    out.write(json.dumps([backend.memory(one) for one in found]).encode())
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        answer = out.read().decode("utf-8", "replace")
    if not os.WIFSIGNALED(status) and answer.startswith("[["):
        return tuple((free, total) for free, total in json.loads(answer))
    why = f" ({answer})" if answer and not LOST.search(answer) else ""
    raise WorkerError(
        f"{name} answers, but not as a worker that fits this program{why}",
        hint="start the same program's worker there, of the same version (RPC protocol "
        f"{RPC_PROTOCOL}); it answers {CONNECT_SECONDS} seconds at the latest",
    )


def devices(found: Sequence[Machine], patience: int) -> Sequence[tuple[Device, int]]:
    """Return the devices of machines, and the engine's pointers to them (`ggml_backend_dev_t`).

    When one takes longer than `patience` seconds for an answer, it is lost.
    """
    rpc_library.set_patience(patience)
    return [
        (Device(machine.endpoint, machine.name, integrated=False, by=RPC), pointer)
        for machine in found
        for pointer in rpc_library.devices_at(machine.endpoint)
    ]


def lost(why: str) -> str:
    """Return the endpoint of the machine whose loss is why the engine ends; empty if it is not."""
    match = LOST.search(why)
    return match[1] if match else ""
