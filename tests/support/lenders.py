"""The produced binary as a worker, and raw connections to one."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from background import background
from program import Program

SECONDS = 30
HELLO = struct.pack("<BQ24x", 14, 24)
ALLOCATE, SET, SET_BY_HASH, FREE_MEMORY = 0, 6, 7, 11
"""Numbers of rpc_cmd in ggml-rpc.cpp."""
TENSOR = struct.Struct("<QIQ4I4II16ii10QQQQ64si")
"""rpc_tensor: id, type, buffer, sizes, strides, operation with parameters, flags, sources, view,
its offset, data, name, uses."""


@dataclass
class Lender:
    """A worker that runs."""

    process: subprocess.Popen[str]
    address: str
    said: deque[str] = field(default_factory=deque)
    opened: list[socket.socket] = field(default_factory=list)
    """Connections, which are closed with it."""

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def connect(self, seconds: float = SECONDS) -> socket.socket:
        self.opened.append(socket.create_connection(("127.0.0.1", self.port), seconds))
        return self.opened[-1]

    def kill(self) -> None:
        """End it and its sessions at once, as a machine whose power is cut."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)

    def stop(self) -> None:
        """Ask it to end, if it runs still, and wait until it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(SECONDS)

    def processes(self) -> list[int]:
        """Return its processes that serve a connection: those without further children."""
        found, waiting = [], [self.process.pid]
        while waiting:
            process = waiting.pop()
            children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
            waiting += map(int, children)
            found.append(process)
        return found


@contextmanager
def lend(program: Program, *flags: str, port: int = 0) -> Iterator[Lender]:
    """Give a worker of one thread, at any free port; it is ended behind."""
    command = ["worker", "-t", "1", "--port", str(port), *flags]
    with background(program, *command, ready="Ctrl-C", kept=2000) as running:
        found = re.search(r"listening on (\S+)", running.begun)
        assert found, running.begun
        lender = Lender(running.process, found[1], running.said)
        try:
            yield lender
        finally:
            for connection in lender.opened:
                connection.close()
            lender.stop()


class Session:
    """A connection that has begun as ggml's do."""

    def __init__(self, lender: Lender) -> None:
        self.socket = lender.connect()
        self.socket.sendall(HELLO)
        self.protocol = self.reply()[:3]

    def send(self, command: int, content: bytes) -> None:
        self.socket.sendall(struct.pack("<BQ", command, len(content)) + content)

    def ask(self, command: int, content: bytes) -> bytes:
        self.send(command, content)
        return self.reply()

    def reply(self) -> bytes:
        return self._exactly(struct.unpack("<Q", self._exactly(8))[0])

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.socket.recv(count - len(found))
            if not part:
                raise ConnectionResetError("it was closed")
            found += part
        return found

    def allocate(self, size: int) -> int:
        """Return the pointer to a buffer there, 0 if there is no memory for it."""
        pointer, _ = struct.unpack("<QQ", self.ask(ALLOCATE, struct.pack("<IQ", 0, size)))
        return int(pointer)

    def base(self, buffer: int) -> int:
        (base,) = struct.unpack("<Q", self.ask(3, struct.pack("<Q", buffer)))
        return int(base)

    def free_memory(self) -> int:
        free, _ = struct.unpack("<QQ", self.ask(FREE_MEMORY, struct.pack("<I", 0)))
        return int(free)


def tensor(buffer: int, data: int, count: int) -> bytes:
    """Return the description of `count` bytes in a buffer."""
    of_bytes = 24  # GGML_TYPE_I8
    return TENSOR.pack(
        1, of_bytes, buffer, count, 1, 1, 1, 1, count, count, count, 0, *[0] * 16, 0,
        *[0] * 10, 0, 0, data, b"kept", 0,
    )  # fmt: skip
