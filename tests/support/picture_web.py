"""A web server on this machine that pictures are fetched from, with TLS where that is asked for."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from encoded_pictures import png

from runtime.errors import MediaError
from runtime.media.fetch import fetch

HERE = "127.0.0.1"
Answer = Callable[[str], bytes]
"""Gets the first line of a request."""


def found(body: bytes = png(), *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def moved(to: str) -> bytes:
    return found(b"", f"Location: {to}", status="302 Found")


class Web:
    """A web server on this machine, and what it was asked."""

    def __init__(
        self, answer: Answer, *, hold: float = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._over = threading.Event()
        self._hold = hold
        self._tls = tls
        self._socket = socket.create_server((HERE, 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def fetch(self, url: str) -> bytes:
        """Fetch from it as if this machine were public."""
        scheme = "https" if self._tls else "http"
        return fetch(url, allowed=lambda address: address == HERE, ports={scheme: self.port})

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                raw, _ = self._socket.accept()
                with suppress(OSError), self._secured(raw) as connection:
                    data = b""
                    while b"\r\n\r\n" not in data:
                        data += (part := connection.recv(4096))
                        if not part:
                            raise ConnectionResetError
                    self.asked.append(data.decode())
                    for octet in (sent := self._answer(data.decode().split("\r\n")[0])):
                        if not self._hold:
                            connection.sendall(sent)
                            break
                        connection.sendall(bytes([octet]))
                        if self._over.wait(self._hold):
                            return

    def _secured(self, raw: socket.socket) -> socket.socket:
        """Return the connection with TLS, if that is spoken here; it is closed if that fails."""
        if self._tls is None:
            return raw
        try:
            return self._tls.wrap_socket(raw, server_side=True)
        except BaseException:
            raw.close()
            raise


@contextmanager
def web(answer: Answer, *, hold: float = 0, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    running = Web(answer, hold=hold, tls=tls)
    try:
        yield running
    finally:
        running.close()


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(MediaError) as caught:
        action()
    assert caught.value.hint
    return caught.value.problem
