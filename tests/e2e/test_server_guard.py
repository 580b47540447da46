"""Who gets into the produced server: names, origins, keys, sizes, slow and broken clients."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Program
from server_client import asked, call, get, post, until
from servers import Served, serve

HTML = "text/html"
REFUSED = (b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 431")


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    flags = ("-t", "1", "--timeout", "1.5", "--max-body", "0.1", "--allow-host", "llm.example.org")
    with serve(chat, *flags, "--cors-origin", "https://app.example.org") as running:
        yield running


@pytest.fixture(scope="module")
def locked(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1", "--api-key", "sesame", "--access-log") as running:
        yield running


def status(server: Served, path: str = "/health", **headers: str) -> int:
    return int(call(server, "GET", path, **headers)[0])


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example",
     "127.0.0.1@evil.example", "192.168.0.7", "[2001:db8::1]", "", "localhost:x"],
)  # fmt: skip
def test_other_names_are_turned_away(server: Served, host: str) -> None:
    for path in ("/", "/health", "/v1/models", "/page/main.js"):
        assert 403 == status(server, path, Host=host)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:99", "127.0.0.1", "127.1.2.3:8080", "[::1]:8080",
             "llm.example.org", "llm.example.org.:443", "a.localhost"],
)  # fmt: skip
def test_its_own_names_are_right(server: Served, host: str) -> None:
    assert 200 == status(server, Host=host)


def test_pages_of_other_sites_may_not_ask(server: Served) -> None:
    for origin in ("https://evil.example", "null", "https://app.example.org.evil", "http://[::1"):
        code, headers, _ = call(
            server, "POST", "/v1/chat/completions", asked(), Origin=origin,
            Content_Type="text/plain",
        )  # fmt: skip
        assert 403 == code
        assert "access-control-allow-origin" not in headers
    assert 403 == status(server, "/slots", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")
    assert 200 == status(server, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert 200 == status(server, "/slots", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors")
    assert 200 == status(server, Host="localhost:1", Origin="http://localhost:1")
    assert 403 == status(server, Host="localhost:1", Origin="http://localhost:2")


def test_pages_that_are_allowed_may(server: Served) -> None:
    origin = "https://app.example.org"
    code, headers, _ = call(server, "GET", "/v1/models", Origin=origin)
    assert (200, origin) == (code, headers["access-control-allow-origin"])
    code, headers, _ = call(
        server, "OPTIONS", "/v1/chat/completions", Origin=origin,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization,x-stainless-os",
    )  # fmt: skip
    assert 204 == code
    assert headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert headers["vary"] == "Origin"


def test_without_the_key_there_is_the_page_and_nothing_else(locked: Served) -> None:
    assert 200 == status(locked, "/") == status(locked, "/health")
    for path in ("/v1/models", "/props", "/slots", "/metrics", "/openapi.json", "/nowhere"):
        code, headers, found = call(locked, "GET", path)
        assert (401, "Bearer") == (code, headers["www-authenticate"])
        assert found["error"]["code"] == "invalid_api_key"
    assert 401 == status(locked, "/v1/models", Authorization="Bearer wrong")
    assert 401 == status(locked, "/v1/models", Authorization="sesame")
    assert 200 == status(locked, "/v1/models", Authorization="bearer sesame")
    assert 200 == status(locked, "/v1/models", X_Api_Key="sesame")
    lines = "".join(locked.said)
    assert "GET /v1/models 401" in lines
    assert "sesame" not in lines


def test_what_is_too_large_is_not_read(server: Served) -> None:
    big = {"prompt": "x" * 200_000}
    assert 413 == call(server, "POST", "/completion", big)[0]
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        raw.sendall(
            b"POST /completion HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        raw.settimeout(10)
        answer = b""
        try:
            for _ in range(100):
                raw.sendall(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
                time.sleep(0.001)
        except OSError:
            pass
        while not answer.startswith(b"HTTP/1.1 413") and (data := received(raw)):
            answer += data
    assert answer.startswith(b"HTTP/1.1 413")
    assert 200 == status(server)


def received(raw: socket.socket) -> bytes:
    try:
        return raw.recv(65536)
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Content-Length: 6\r\n\r\nabcdef",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"\x00" * 1000,
        b"\r\n" * 1000 + b"GARBAGE\r\n\r\n",
    ],
)
def test_what_is_no_http(server: Served, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        raw.settimeout(60)
        with contextlib.suppress(ConnectionError):
            raw.sendall(data)
        answer = received(raw)
        assert answer == b"" or answer[: len("HTTP/1.1 4xx")] in REFUSED
    assert 200 == status(server)
    assert "Traceback" not in "".join(server.said)


def test_who_sends_slowly_is_cut(server: Served) -> None:
    begins = [
        b"",
        b"GET /health HT",
        b"POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{",
    ]
    connections = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in begins * 20]
    for number, raw in enumerate(connections):
        raw.sendall(begins[number % 3])
    for _ in range(4):
        assert 200 == status(server)  # others are served meanwhile
        for raw in connections[1::3]:
            with contextlib.suppress(ConnectionError):  # it is cut already
                raw.sendall(b"T")
        time.sleep(0.3)
    for raw in connections:
        raw.settimeout(60)
        assert b"" == received(raw)
        raw.close()


def test_who_reads_nothing_holds_no_sequence(chat: Program) -> None:
    flags = ("-t", "1", "-np", "1", "-c", "300000", "--no-fit", "--timeout", "1")
    with serve(chat, *flags) as server:
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(("127.0.0.1", server.port))
            body = json.dumps(asked(ignore_eos=True, stream=True, logprobs=True, top_logprobs=20))
            head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            head += f"Content-Length: {len(body)}"
            raw.sendall(f"{head}\r\n\r\n{body}".encode())
            until(lambda: get(server, "/slots")[0]["is_processing"])
            until(lambda: not get(server, "/slots")[0]["is_processing"], 15)
        assert "answers_cancelled_total 1" in get(server, "/metrics")
        assert post(server, "/completion", {"prompt": "a", "n_predict": 1})


def test_other_addresses_ask_for_a_key(chat: Program) -> None:
    done = chat("serve", "--host", "0.0.0.0", "--port", "0")
    assert done.code == 2
    assert "--api-key" in done.err
    assert "--no-api-key" in done.err
    named = chat("serve", "--host", "127.example.org", "--port", "0")  # a name may lead anywhere
    assert (2, True) == (named.code, "127.example.org" in named.err and "--api-key" in named.err)
    both = chat("serve", "--api-key", "x", "--no-api-key")
    assert "contradict" in both.err
    with serve(chat, "-t", "1", "--host", "0.0.0.0", "--no-api-key") as server:
        assert "warning: no API key is asked for" in "".join(server.said)
        until(lambda: "Ctrl-C ends it" in "".join(server.said))
        others = re.search(
            r"other machines: +http://(\S+):\d+/ \(listening on all networks\)\n",
            "".join(server.said),
        )
        assert others and others[1] not in ("localhost", "127.0.0.1", "0.0.0.0")
        assert 200 == status(server, Host=others[1])
        assert 200 == status(server)
        assert 200 == status(server, Host="192.168.0.7")
        assert 403 == status(server, Host="evil.example")


def ipv6() -> bool:
    """Tell whether this machine has the newer addresses at all; containers may not."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not ipv6(), reason="there is no IPv6 here")
def test_ipv6_addresses_are_shown_in_brackets(chat: Program) -> None:
    with serve(chat, "-t", "1", "--host", "::", "--no-api-key") as server:
        assert f"everybody who can reach [::]:{server.port} can use" in "".join(server.said)
        assert server.url == f"http://localhost:{server.port}"
        assert 200 == status(server, Host="[fd00::7]:1")
    with serve(chat, "-t", "1", "--host", "::1") as server:
        assert server.url == f"http://[::1]:{server.port}"


def test_a_port_that_is_taken(chat: Program, server: Served) -> None:
    done = chat("serve", "--port", str(server.port))
    assert done.code == 1
    assert f"port {server.port} of 127.0.0.1 cannot be used" in done.err
    assert "--port" in done.err


def test_https(chat: Program, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    files = ("--ssl-keyfile", str(key), "--ssl-certfile", str(certificate))
    with serve(chat, "-t", "1", *files) as server:
        assert server.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(certificate))
        url = f"https://localhost:{server.port}/health"
        with urllib.request.urlopen(url, context=trusting, timeout=10) as response:
            assert {"status": "ok"} == json.load(response)
    alone = chat("serve", "--ssl-keyfile", str(key))
    assert "give both" in alone.err
    swapped = chat("serve", "--ssl-keyfile", str(certificate), "--ssl-certfile", str(key))
    assert swapped.code == 2
    assert "cannot be used for HTTPS" in swapped.err


def test_texts_are_printed_only_if_asked_for(chat: Program) -> None:
    with serve(chat, "-t", "1", "--access-log") as server:
        post(server, "/completion?secret=1", {"prompt": "Once upon", "n_predict": 3})
        until(lambda: "POST /completion 200" in "".join(server.said))
        assert "Once" not in "".join(server.said)
        assert "secret" not in "".join(server.said)
    with serve(chat, "-t", "1", "--log-text") as server:
        post(server, "/completion", {"prompt": "Once upon", "n_predict": 3})
        until(lambda: "asked: Once upon" in "".join(server.said))
