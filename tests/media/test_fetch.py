"""Pictures from the web: fetched from the public internet alone, in bounds, and never elsewhere."""

from __future__ import annotations

import socket

import pytest
from encoded_pictures import png
from picture_web import HERE, found, moved, refused, web

from runtime import bounds
from runtime.media.addresses import is_public
from runtime.media.fetch import fetch


def test_a_picture_is_fetched_by_name_and_says_little_of_us() -> None:
    with web(lambda _: found()) as server:
        assert png() == server.fetch(f"http://localhost:{server.port}/a%20b?c=d#e")
        [asked] = server.asked
    first, *headers = asked.strip().split("\r\n")
    assert "GET /a%20b?c=d HTTP/1.1" == first
    assert {"Host", "User-Agent", "Accept", "Accept-Encoding"} == {
        line.split(":")[0] for line in headers
    }


PRIVATE = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1
    172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1
    224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1
    ::ffff:8.8.8.8 ::ffff:10.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::1 100::1
    2001::1 2001:0:7f00:1:: 2001:db8::1 2002:7f00:1:: 2002:a00:1:: 2002:c0a8:101::1 fc00::1
    fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1 4000::1 localhost 127.1
""".split()  # fmt: skip
PUBLIC = "8.8.8.8 1.1.1.1 93.184.216.34 2606:4700::1111 64:ff9b::8.8.8.8 2002:808:808::1".split()


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public(address: str) -> None:
    assert is_public(address)


NAMES = (
    "127.0.0.1", "localhost", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "0", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254", "10.0.0.1", "[fe80::1]",
    "[fd00::1]", "LOCALHOST", "127.0.0.1.",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_this_machine_and_its_neighbours_are_never_asked(name: str) -> None:
    with web(lambda _: found()) as server:
        said = refused(lambda: fetch(f"http://{name}:{server.port}/", ports={"http": server.port}))
        assert not server.asked
    assert "is not on the public internet" in said or "cannot be asked" in said


def test_neither_is_one_that_a_public_host_sends_us_to() -> None:
    with web(lambda _: moved("http://127.0.0.2/secret")) as server:
        said = refused(lambda: server.fetch(f"http://{HERE}/"))
    assert "127.0.0.2 is not on the public internet" == said


def test_the_address_that_was_looked_at_is_connected_to() -> None:
    """A name that stands for another address when it is looked up again gains nothing."""
    looked_up: list[str] = []
    original = socket.getaddrinfo

    def rebinding(host: str, *more: object, **named: object) -> object:
        if host != "rebinding.example":
            return original(host, *more, **named)  # type: ignore[arg-type]
        looked_up.append(host)
        return original(HERE if len(looked_up) == 1 else "127.0.0.9", *more, **named)  # type: ignore[arg-type]

    socket.getaddrinfo = rebinding  # type: ignore[assignment]
    try:
        with web(lambda _: found()) as server:
            assert png() == server.fetch("http://rebinding.example/")
    finally:
        socket.getaddrinfo = original
    assert 1 == len(looked_up)


def test_a_name_with_one_private_address_is_not_asked_at_all() -> None:
    original = socket.getaddrinfo

    def both(host: str, *more: object, **named: object) -> object:
        if host != "both.example":
            return original(host, *more, **named)  # type: ignore[arg-type]
        return [
            *original(HERE, *more, **named),  # type: ignore[arg-type]
            *original("10.0.0.1", *more, **named),  # type: ignore[arg-type]
        ]

    socket.getaddrinfo = both  # type: ignore[assignment]
    try:
        with web(lambda _: found()) as server:
            said = refused(lambda: server.fetch("http://both.example/"))
            assert not server.asked
    finally:
        socket.getaddrinfo = original
    assert "both.example is not on the public internet" == said


def test_redirections_are_followed() -> None:
    with web(lambda line: found() if "/c" in line else moved("/c")) as server:
        assert png() == server.fetch(f"http://{HERE}/a/b")
        assert 2 == len(server.asked)


def test_redirections_end() -> None:
    with web(lambda line: moved("/" + "a" * len(line))) as server:
        assert "moved more than 3 times" in refused(lambda: server.fetch(f"http://{HERE}/"))
        assert bounds.FETCH_REDIRECTS + 1 == len(server.asked)

    with web(lambda line: found() if "/aaa" in line else moved(line.split()[1] + "a")) as server:
        assert png() == server.fetch(f"http://{HERE}/")
        assert bounds.FETCH_REDIRECTS + 1 == len(server.asked)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///etc/passwd", "is no address of a picture"),
        ("ftp://example.org/a.png", "is no address of a picture"),
        ("gopher://example.org/", "is no address of a picture"),
        ("http:///a.png", "is no address of a picture"),
        ("a.png", "is no address of a picture"),
        ("", "is no address of a picture"),
        ("http://user:word@example.org/", "has a user's name in it"),
        ("http://@example.org/", "has a user's name in it"),
        ("http://example.org:22/", "port 22 is not asked"),
        ("https://example.org:80/", "port 80 is not asked"),
        ("http://example.org:99999/", "cannot be asked"),
        ("http://[::1/", "cannot be asked"),
        ("http://exämple.org/", "characters that none has"),
        ("http://example.org/a b", "characters that none has"),
        ("http://example.org/\r\nHost: x", "characters that none has"),
        (f"http://{'a' * 70}.example/", "cannot be asked"),
        ("http://nothing.invalid/", "cannot be asked"),
    ],
)
def test_what_is_no_address_of_a_picture(url: str, says: str) -> None:
    assert says in refused(lambda: fetch(url))


def test_a_long_address_is_refused() -> None:
    with web(lambda _: found()) as server:
        url = f"http://{HERE}/".ljust(bounds.FETCH_URL, "a")

        assert png() == server.fetch(url)
        assert "at most 8,000" in refused(lambda: server.fetch(url + "a"))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (found(b"", status="404 Not Found"), "answers with status 404"),
        (found(b"", status="302 Found"), "answers with status 302"),
        (found(b"", "Location: file:///etc/passwd", status="302 Found"), "no address of a picture"),
        (found(b"", "Location: //user@x/", status="302 Found"), "has a user's name"),
        (b"hello", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000, "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc", "sends 3 of 50 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nabc", "has more than 33.6 MB"),
    ],
)
def test_answers_that_are_none(answer: bytes, says: str) -> None:
    with web(lambda _: answer) as server:
        assert says in refused(lambda: server.fetch(f"http://{HERE}/"))


def test_a_body_without_end_is_left() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with web(lambda _: head + bytes(bounds.PICTURE + (1 << 20))) as server:
        assert "has more than 33.6 MB" in refused(lambda: server.fetch(f"http://{HERE}/"))
    with web(lambda _: head + bytes(bounds.PICTURE)) as server:
        assert bounds.PICTURE == len(server.fetch(f"http://{HERE}/"))


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n" * 100, found(bytes(1000))])
def test_a_server_that_trickles_is_left(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 10.0 == bounds.FETCH_SECONDS
    monkeypatch.setattr(bounds, "FETCH_SECONDS", 0.5)
    with web(lambda _: answer, hold=0.05) as server:
        said = refused(lambda: server.fetch(f"http://{HERE}/"))
    assert "takes longer than 0.5 seconds" in said


def test_what_does_not_accept_a_connection_is_said_to() -> None:
    with web(lambda _: found()) as server:
        server.close()
        assert "cannot be asked" in refused(lambda: server.fetch(f"http://{HERE}/"))
