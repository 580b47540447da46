"""Second process that stays outside of the sandbox, for the few things the user may still ask for.

It is forked before the program closes itself in, and does nothing but what the services it was
given do: whoever takes over the program can ask for these alone. A question is one message over a
socket: the name of a service, its arguments as JSON, and at most one open file; so is the reply.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runtime import errors
from runtime.errors import AppError

MESSAGE_MAX = 1 << 16
"""Bytes; what is larger goes by a file."""


@dataclass
class Reply:
    """What a service replies: values for JSON, and an open file, which the asking process owns."""

    values: Mapping[str, Any]
    fd: int | None = None


Service = Callable[[Mapping[str, Any], int | None], Reply]
"""Gets the arguments and the descriptor of a file, if there is one; may raise AppError."""


class Outside:
    """The connection to the second process, which ends with it."""

    def __init__(
        self, services: Mapping[str, Service], at_end: Callable[[], None] | None = None
    ) -> None:
        """Fork; so this must come before any thread is started.

        `at_end` is done once the program has ended, however it did: signals do not end this
        process before.
        """
        self._asking = threading.Lock()
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = os.fork()
        if self._process:
            other.close()
            return
        code = 1
        try:
            self._socket.close()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program
            if at_end:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            _serve(other, services)
            if at_end:
                at_end()
            code = 0
        finally:
            os._exit(code)

    def ask(self, service: str, fd: int | None = None, **arguments: Any) -> Reply:
        """Return the reply of a service; raise AppError if it does, or the process has ended."""
        with self._asking:
            try:
                _send(self._socket, {"service": service, "arguments": arguments}, fd)
                message, found = _receive(self._socket)
            except OSError as exc:
                raise AppError(f"the program's second process cannot be asked: {exc}") from exc
        if message is None:
            raise AppError("the program's second process has ended", hint="start the program again")
        if "problem" in message:
            kind = getattr(errors, message["kind"], AppError)
            raise kind(message["problem"], hint=message["hint"])
        return Reply(message["values"], found)

    def close(self) -> None:
        """End the process, and wait for that."""
        self._socket.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._process, 0)


def _serve(asked: socket.socket, services: Mapping[str, Service]) -> None:
    """Reply to questions until the other end of the socket is closed."""
    while True:
        message, fd = _receive(asked)
        if message is None:
            return
        try:
            reply = services[message["service"]](message["arguments"], fd)
        except AppError as exc:
            kind = type(exc).__name__
            _send(asked, {"kind": kind, "problem": exc.problem, "hint": exc.hint}, None)
        else:
            _send(asked, {"values": reply.values}, reply.fd)
            if reply.fd is not None:
                os.close(reply.fd)
        finally:
            if fd is not None:
                os.close(fd)


def _send(to: socket.socket, message: Mapping[str, Any], fd: int | None) -> None:
    data = json.dumps(message).encode()
    if len(data) > MESSAGE_MAX:
        raise AppError("that is too long to be asked for", hint="take a shorter name")
    socket.send_fds(to, [data], [] if fd is None else [fd])


def _receive(of: socket.socket) -> tuple[Any, int | None]:
    """Return the next message and the file that came with it; no message if there are no more."""
    try:
        data, fds, _, _ = socket.recv_fds(of, MESSAGE_MAX, 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        data, fds = b"", []
    return (json.loads(data) if data else None), (fds[0] if fds else None)
