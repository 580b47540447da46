"""A worker: lets other machines compute on this one, by ggml's RPC.

ggml's server is written for peers that are trusted: it serves one after the other, waits for ever,
has no limit on memory, and ends when it is sent nonsense. So a process of ours accepts the
connections, drops those that do not begin as ggml's do, and gives each of the others to a child
process that has limits, is in the sandbox, and may end as it likes.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from runtime.devices import backend, presence, rpc_library, selection, tensor_cache
from runtime.devices.selection import Choice
from runtime.host import interrupts, resources
from runtime.sandbox import restriction
from runtime.sandbox.restriction import Policy
from runtime.units import counted, gigabytes

HELLO = struct.Struct("<BQ24x")
"""How ggml's clients begin: the number of the command, the length of the rest, and the rest."""
HELLO_COMMAND, HELLO_LENGTH = 14, 24
HELLO_SECONDS = 5.0
"""For a connection to say so."""
GREETING = 64
"""Connections that have not said so yet; of more, the oldest are dropped."""
SESSIONS = 8
"""Connections served at the same time; a head loads by several short ones, and keeps one."""
TICK_SECONDS = 0.2
SLACK = 1 << 30
"""Bytes of address space for all but tensors: threads, and the message that is being read."""
LAST_SECONDS = 2.0
"""For sessions to end before they are killed."""


NO_GPUS = Choice()


@dataclass(frozen=True)
class Offer:
    """What a worker gives to others."""

    threads: int
    memory: int
    """Bytes, for all sessions together."""
    cache: int = 0
    """Bytes on disk for large tensors, 0 for none."""
    gpus: Choice = NO_GPUS
    """Lent in the processor's place, if there are any; their memory is as their drivers tell it."""

    @property
    def folder(self) -> Path | None:
        """Return the folder of the tensors that are kept."""
        return tensor_cache.folder() if self.cache else None


@dataclass
class Worker:
    """The process that accepts connections."""

    listening: socket.socket
    offer: Offer
    say: Callable[[str], None]
    _greeting: dict[socket.socket, float] = field(default_factory=dict)
    """Connections that have not begun as ggml's do yet, oldest first, and when each is dropped."""
    _sessions: dict[int, str] = field(default_factory=dict)
    """Who is served, by process."""
    _dropped: int = 0

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; the engine must have been started."""
        self.listening.setblocking(False)
        told: list[int] = []
        with interrupts.bell(told.append) as bell, selectors.DefaultSelector() as selector:
            selector.register(self.listening, selectors.EVENT_READ)
            selector.register(bell.fd, selectors.EVENT_READ)
            try:
                while not told:
                    wait = TICK_SECONDS if self._greeting or self._dropped else None
                    ready = [key.fileobj for key, _ in selector.select(wait)]
                    if bell.fd in ready:
                        bell.hush()
                    if self.listening in ready:
                        self._accept()
                    self._greet()
                    self._reap()
            finally:
                self._end()

    def _accept(self) -> None:
        """Accept what waits, for as long as it is not more than a greeting's worth."""
        for _ in range(GREETING):
            try:
                connection, _ = self.listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # too many files are open
                if not self._greeting:
                    return
                self._drop(next(iter(self._greeting)))
                continue
            connection.setblocking(False)
            self._greeting[connection] = time.monotonic() + HELLO_SECONDS
            if len(self._greeting) > GREETING:
                self._drop(next(iter(self._greeting)))

    def _greet(self) -> None:
        """Serve the connections that have begun as ggml's do; drop those that never will."""
        now = time.monotonic()
        for connection, until in list(self._greeting.items()):
            try:
                begun = connection.recv(HELLO.size, socket.MSG_PEEK)
            except BlockingIOError:
                begun = None
            except OSError:
                begun = b""
            if begun == b"":  # only looked whether somebody listens
                del self._greeting[connection]
                connection.close()
            elif begun is not None and not _is_beginning(begun):
                self._drop(connection)
            elif begun is not None and len(begun) == HELLO.size:
                del self._greeting[connection]
                self._serve(connection)
            elif now > until:
                self._drop(connection)
        if self._dropped and not self._greeting:
            dropped = counted(self._dropped, "connection")
            self.say(f"dropped {dropped} that did not begin as this protocol does")
            self._dropped = 0

    def _drop(self, connection: socket.socket) -> None:
        self._greeting.pop(connection, None)
        connection.close()
        self._dropped += 1

    def _serve(self, connection: socket.socket) -> None:
        """Let a child process serve a connection."""
        try:
            host, port = connection.getpeername()[:2]
        except OSError:
            connection.close()
            return
        if len(self._sessions) >= SESSIONS:
            self.say(f"{host} was refused: {SESSIONS} connections are served already")
            connection.close()
            return
        memory = self._memory_left()
        child = os.fork()
        if child:
            connection.close()
            self._sessions[child] = f"{host}:{port}"
            return
        code = 1
        try:
            self._become_session(connection, memory)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _memory_left(self) -> int:
        """Return the bytes that a new session may use."""
        used = sum(map(resources.memory_of, self._sessions))
        left = self.offer.memory - used
        available = resources.available_memory()
        return max(0, left if available is None else min(left, available))

    def _become_session(self, connection: socket.socket, memory: int) -> None:
        """Serve a connection in this process, which is its own."""
        interrupts.end_with_parent()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        self.listening.close()
        for other in self._greeting:
            other.close()
        connection.setblocking(True)
        folder = self.offer.folder
        room = tensor_cache.make_room(self.offer.cache) if folder else 0
        gpus = [pointer for _, pointer in selection.loaded(self.offer.gpus)]
        rpc_library.open_devices(gpus or [backend.processor()], self.offer.threads, memory)
        # Drivers of GPUs map more than they use, though not as memory of the process's own.
        space = resource.RLIMIT_DATA if gpus else resource.RLIMIT_AS
        limit = resources.address_space() + memory + SLACK
        with contextlib.suppress(ValueError, OSError):  # the user has set a lower one
            resource.setrlimit(space, (limit, limit))
        nodes, compiled = (presence.nodes(), presence.shader_caches()) if gpus else ((), ())
        restriction.enter(
            Policy(
                keeps=str(folder) if folder else "",
                devices=tuple(nodes),
                readable=tuple(compiled),
            )
        )
        rpc_library.serve(connection.detach(), str(folder) if folder else "", room)

    def _reap(self) -> None:
        """Collect the sessions that have ended, and tell of those that were not meant to."""
        while self._sessions:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            code = os.waitstatus_to_exitcode(status)
            peer = self._sessions.pop(process, "")
            if code:
                how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
                self.say(
                    f"the session of {peer} ended {how}: it sent what the engine cannot compute, "
                    f"or needed more than {gigabytes(self.offer.memory)}; others go on"
                )

    def _end(self) -> None:
        """End all sessions."""
        until = time.monotonic() + LAST_SECONDS
        for connection in self._greeting:
            connection.close()
        number = signal.SIGTERM
        while self._sessions:
            for process in self._sessions:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)
            time.sleep(0.02)
            with contextlib.suppress(ChildProcessError):
                while (process := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                    self._sessions.pop(process, None)
            if time.monotonic() > until:
                number = signal.SIGKILL


def _is_beginning(begun: bytes) -> bool:
    """Return whether bytes are how a connection of ggml's begins, as far as they are there."""
    expected = HELLO.pack(HELLO_COMMAND, HELLO_LENGTH)[: HELLO.size - HELLO_LENGTH]
    compared = begun[: len(expected)]
    return expected.startswith(compared)
