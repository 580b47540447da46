"""The produced server on a UNIX socket, and below a path."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from program import Program
from server_client import asked, call, get, post, said, until
from servers import SECONDS, Served, serve
from sleepers import processes_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PARIS = "The capital of France is Paris."


class UnixConnection(http.client.HTTPConnection):
    """A connection to a server by its socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def request(path: Path, method: str, where: str, body: Any = None, **headers: str) -> Any:
    """Return status and body of one request."""
    connection = UnixConnection(path)
    try:
        connection.request(method, where, body and json.dumps(body).encode(), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@contextmanager
def listening(program: Program, host: str, *flags: str) -> Iterator[tuple[Served, str]]:
    """Give a server on a socket, and what it said at its start; it is ended behind."""
    command = [str(program.path), "serve", *program.flags, "--host", host, "-t", "1", *flags]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True
    ) as process:
        assert process.stderr is not None
        text = ""
        while "Ctrl-C" not in text and (line := process.stderr.readline()):
            text += line
        try:
            yield Served(process, host), text
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(SECONDS)


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--no-sandbox",)], ids=" ".join)
def test_a_socket_is_served_and_removed(chat: Program, tmp_path: Path, flags: list[str]) -> None:
    path = tmp_path / "chat.sock"
    with listening(chat, f"unix:{path}", *flags) as (server, text):
        assert f"listening on unix:{path}\n" in text
        assert f"curl --unix-socket {path} http://localhost/v1/models" in text
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        status, found = request(path, "POST", "/v1/chat/completions", asked())
        assert (200, PARIS) == (status, said(found))
        for name in ("localhost", "localhost:80", "127.0.0.1"):
            assert 200 == request(path, "GET", "/v1/models", Host=name)[0]
        assert 403 == request(path, "GET", "/v1/models", Host="evil.example")[0]
        page = {"Host": "localhost", "Origin": "https://evil.example"}
        assert 403 == request(path, "GET", "/v1/models", **page)[0]
        assert 0 == server.stop()
        until(lambda: not path.exists(), 3)


def test_a_living_server_keeps_its_socket(chat: Program, tmp_path: Path) -> None:
    path = tmp_path / "chat.sock"
    with listening(chat, str(path)):
        done = chat("serve", "--host", str(path))
        assert 1 == done.code
        assert f"error: a server listens at {path} already" in done.err
        assert 200 == request(path, "GET", "/health")[0]
    until(lambda: not path.exists(), 3)


def test_what_a_dead_server_has_left_is_replaced(chat: Program, tmp_path: Path) -> None:
    path = tmp_path / "chat.sock"
    with listening(chat, str(path)) as (server, _):
        for process in processes_of(server):
            os.kill(process, signal.SIGKILL)
        server.process.wait(SECONDS)
        until(lambda: not answers(path), 5)
        assert path.is_socket()
    with listening(chat, str(path)):
        assert 200 == request(path, "GET", "/health")[0]


def answers(path: Path) -> bool:
    try:
        return bool(request(path, "GET", "/health"))
    except OSError:
        return False


def test_a_killed_server_s_socket_is_removed(chat: Program, tmp_path: Path) -> None:
    path = tmp_path / "chat.sock"
    with listening(chat, str(path)) as (server, _):
        server.process.kill()
        until(lambda: not path.exists(), 5)


def test_what_cannot_be_listened_at(chat: Program, tmp_path: Path) -> None:
    file = tmp_path / "file.sock"
    file.write_text("mine")
    for flags, words in (
        (("--host", str(file)), "is no socket"),
        (("--host", "unix:"), "is none"),
        (("--host", f"unix:{tmp_path}/none/chat.sock"), "cannot be made"),
        (("--host", f"unix:{tmp_path}/chat.sock", "--open"), "a browser cannot open"),
        (("--api-prefix", "/a/../b"), "cannot be part of the API prefix"),
    ):
        done = chat("serve", *flags)
        assert (2, "") == (done.code, done.out)
        assert words in done.err
    assert "mine" == file.read_text()


@pytest.fixture(scope="module")
def below(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1", "--api-prefix", "models//chat/") as server:
        assert server.url.endswith("/models/chat")
        yield Served(server.process, server.url.removesuffix("/models/chat"), server.said)


def test_all_paths_are_below(below: Served) -> None:
    answer = post(below, "/models/chat/v1/chat/completions", asked())
    assert PARIS == said(answer)
    for path in ("/health", "/props", "/", "/page/main.js", "/api/tags", "/metrics"):
        get(below, f"/models/chat{path}")
    assert [{"url": "/models/chat"}] == get(below, "/models/chat/openapi.json")["servers"]
    assert 'src="page/main.js"' in get(below, "/models/chat/")


@pytest.mark.parametrize(
    "path", ["/", "/v1/models", "/health", "/models", "/models/chatter/v1/models", "/models/cha",
             "/models/../models", "//models/chat/health"]
)  # fmt: skip
def test_elsewhere_it_says_where(below: Served, path: str) -> None:
    status, _, found = call(below, "GET", path)
    assert 404 == status
    assert "this server is below /models/chat/ (--api-prefix)" in found["error"]["message"]


def test_the_prefix_leads_to_the_page(below: Served) -> None:
    status, headers, _ = call(below, "GET", "/models/chat?x=1")
    assert (308, "/models/chat/?x=1") == (status, headers["location"])
    status, headers, _ = call(below, "POST", "/models/chat", {})
    assert 404 == status
    status, headers, _ = call(below, "POST", "/models/chat/v1/chat/completions/", asked())
    assert 307 == status
    assert headers["location"].endswith("/models/chat/v1/chat/completions")


def test_the_guard_stands_before_all_of_it(chat: Program) -> None:
    with serve(chat, "-t", "1", "--api-prefix", "/x", "--api-key", "secret") as server:
        plain = Served(server.process, server.url.removesuffix("/x"), server.said)
        for path, status in (
            ("/x/", 200), ("/x/health", 200), ("/x/page/main.js", 200), ("/x", 308),
            ("/x/v1/models", 401), ("/v1/models", 404), ("/x/x/health", 401),
        ):  # fmt: skip
            assert status == call(plain, "GET", path)[0], path
        assert 403 == call(plain, "GET", "/v1/models", Host="evil.example")[0]
        key = {"Authorization": "Bearer secret"}
        assert 200 == call(plain, "GET", "/x/v1/models", **key)[0]


def test_the_page_works_below_a_path(browser: Browser, below: Served) -> None:
    from browsers import FRANCE, asked, opened

    with opened(browser, f"{below.url}/models/chat") as (page, _):
        asked(page, FRANCE, PARIS)
        page.reload()
        assert PARIS == page.locator(".reply").inner_text()
        icons = page.locator("svg use").evaluate_all(
            "all => all.map((one) => new URL(one.href.baseVal, document.baseURI).pathname)"
        )
        assert icons
        assert {"/models/chat/page/vendor/lucide/icons.svg"} == set(icons)
