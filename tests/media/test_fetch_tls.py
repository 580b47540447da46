"""Pictures from servers with TLS: fetched where the certificate is right, and nowhere else."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from certificates import Authority
from encoded_pictures import png
from picture_web import HERE, Web, found, moved, refused, web

from runtime import bounds
from runtime.media.fetch import fetch

PLAIN = re.compile(r"[A-Za-z0-9 .,:'()-]+")
"""Of errors in words: no names of exceptions, files or lines."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def _trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))


def refused_in_words(server: Web, name: str = "localhost") -> str:
    said = refused(lambda: server.fetch(f"https://{name}/a.png"))
    assert not server.asked
    assert PLAIN.fullmatch(said)
    assert "Error" not in said
    return said


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Accept connections that speak what they please; give the port."""
    with socket.create_server((HERE, 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    raw, _ = listening.accept()
                    with raw, suppress(OSError):
                        answer(raw)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def asked(port: int) -> str:
    """Return what is said of a server with this port that gives no picture."""
    ports = {"https": port}
    said = refused(lambda: fetch("https://localhost/", allowed=lambda _: True, ports=ports))
    assert PLAIN.fullmatch(said), said
    assert "Error" not in said
    return said


@pytest.mark.parametrize("name", ["localhost", HERE])
def test_a_picture_is_fetched(authority: Authority, name: str) -> None:
    with web(lambda _: found(), tls=authority.server("good", f"DNS:localhost,IP:{HERE}")) as server:
        assert png() == server.fetch(f"https://{name}/a.png")
        [request] = server.asked
    assert request.startswith("GET /a.png HTTP/1.1\r\n")
    assert f"Host: {name}:" in request


@pytest.mark.parametrize("name", ["localhost", HERE])
def test_the_certificate_of_another_host(authority: Authority, name: str) -> None:
    with web(lambda _: found(), tls=authority.server("other", "DNS:other.example")) as server:
        said = refused_in_words(server, name)
    assert f"{name} cannot be asked: its certificate is that of another host" == said


def test_a_certificate_that_has_expired(authority: Authority) -> None:
    with web(lambda _: found(), tls=authority.server("old", days=0)) as server:
        assert "localhost cannot be asked: its certificate has expired" == refused_in_words(server)


@pytest.mark.parametrize("trusted", ["another", "usual"])
def test_the_certificate_of_an_unknown_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: str
) -> None:
    if trusted == "usual":
        monkeypatch.delenv("SSL_CERT_FILE")
    with web(lambda _: found(), tls=Authority(tmp_path).server("stranger")) as server:
        said = refused_in_words(server)
    assert "localhost cannot be asked: nobody who is trusted has signed its certificate" == said


def test_a_certificate_that_signs_itself(tmp_path: Path) -> None:
    """As routers and test servers have them."""
    Authority(tmp_path, "itself")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "itself.pem", tmp_path / "itself.key")
    with web(lambda _: found(), tls=context) as server:
        assert "nobody who is trusted has signed its certificate" in refused_in_words(server)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"\0"])
def test_a_server_that_speaks_no_tls(answer: bytes) -> None:
    def speak(raw: socket.socket) -> None:
        raw.recv(4096)
        raw.sendall(answer * 100)
        raw.recv(4096)

    with answering(speak) as port:
        assert "localhost cannot be asked: it speaks no TLS that is known here" in asked(port)


def test_a_server_that_hangs_up() -> None:
    with answering(lambda raw: raw.recv(4096)) as port:
        said = asked(port)
    assert "localhost cannot be asked: it ends the connection while that is being secured" == said


def test_a_server_of_old_versions_alone(authority: Authority) -> None:
    context = authority.server("ancient")
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with web(lambda _: found(), tls=context) as server:
        assert "it speaks no TLS that is known here" in refused_in_words(server)


def test_a_server_that_wants_to_know_who_asks(authority: Authority) -> None:
    """With TLS 1.3 it says so when the handshake is over."""
    context = authority.server("strict")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    with web(lambda _: found(), tls=context) as server:
        said = refused_in_words(server)
    assert said.startswith("localhost cannot be asked: it ")  # by which of two, chance decides
    assert "wants a certificate of whoever asks" in said or "ends the connection" in said


def test_a_server_that_stalls_in_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FETCH_SECONDS", 0.5)
    with answering(lambda raw: raw.recv(4096) and raw.recv(1)) as port:
        assert "takes longer than 0.5 seconds" in asked(port)


def test_a_server_that_trickles_its_handshake(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    """Each byte comes in time, and all of them do not."""
    monkeypatch.setattr(bounds, "FETCH_SECONDS", 0.5)

    def trickle(raw: socket.socket) -> None:
        raw.recv(4096)
        for octet in b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(1000):
            raw.sendall(bytes([octet]))
            threading.Event().wait(0.05)

    with answering(trickle) as port:
        assert "takes longer than 0.5 seconds" in asked(port)


def test_a_body_that_is_cut(authority: Authority) -> None:
    cut = found(bytes(50))[:-20]
    with web(lambda _: cut, tls=authority.server("cutting")) as server:
        said = refused(lambda: server.fetch("https://localhost/"))
    assert "localhost sends 30 of 50 bytes" == said


def test_moved_to_another_place_with_tls(authority: Authority) -> None:
    def answer(line: str) -> bytes:
        return found() if "/there" in line else moved("/there")

    with web(answer, tls=authority.server("moving")) as server:
        assert png() == server.fetch("https://localhost/")
        assert 2 == len(server.asked)


def test_moved_to_where_there_is_no_tls(authority: Authority) -> None:
    """Who named an address with https would not know that others could have changed it."""
    with (
        web(lambda _: found()) as plain,
        web(lambda _: moved("http://localhost/"), tls=authority.server("leaving")) as server,
    ):
        ports = {"https": server.port, "http": plain.port}
        said = refused(lambda: fetch("https://localhost/", allowed=lambda _: True, ports=ports))
        assert not plain.asked
    assert "the picture is moved from https to http" == said


def test_moved_to_where_there_is_tls(authority: Authority) -> None:
    with web(lambda _: found(), tls=authority.server("end")) as server:
        to = moved("https://localhost/")
        with web(lambda _: to) as plain:
            ports = {"https": server.port, "http": plain.port}
            found_there = fetch("http://localhost/", allowed=lambda _: True, ports=ports)
    assert png() == found_there


@pytest.mark.parametrize("content", [None, "no certificate\n"])
def test_trusted_certificates_that_cannot_be_read(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """It is no fault of the host's that is asked."""
    path = tmp_path / "trusted.pem"
    if content:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with web(lambda _: found(), tls=authority.server("untried")) as server:
        said = refused_in_words(server)
    assert "the certificates that this server trusts cannot be read" == said
