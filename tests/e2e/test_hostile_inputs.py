"""Hundreds of hostile inputs: each is refused or answered, and the program goes on as before."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hostile_bytes
import hostile_fields
import hostile_protocols
import hostile_texts
import pytest
from attacks import ALL as ATTACKS
from hostile_bytes import request, sized
from hostile_case import CHAT, KEY, Case
from hostile_files import MODELS, OPENED_SESSIONS, REFUSED_SESSIONS, Build, with_template
from hostile_texts import ESCAPES, TEMPLATES, ambiguous
from program import Done, Program
from server_client import asked, call, post, said
from servers import Served, serve
from terminals import Terminal
from watched import LATE, health_is_prompt

FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
AT_ONCE = 4
PATIENCE, GRACE = 2, 1
"""Seconds that the server waits for the rest of a request, and for the rest of answers."""
BUDGET = 30
"""Seconds within which each request is through, also on a busy machine."""
MEGABYTES = 400 + 300 * AT_ONCE
"""What the server may hold: the model's context, and the budgets of what runs at once."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
REQUESTS = [
    *hostile_texts.cases(), *hostile_fields.cases(), *hostile_protocols.cases(),
    *hostile_bytes.cases(),
]  # fmt: skip
KINDS = [*dict.fromkeys(case.kind for case in REQUESTS)]
SHOWN = [
    ESCAPES, "\x1b[2J\x1b[H", "\x9b31m", "\x1b]52;c;aGk=\x07", "\x1bP+q\x1b\\", "a\rb\bc",
    "\x1b[?1049h",     "\u202eabc", "\x00\x1b\x7f",
]  # fmt: skip
"""Texts that steer a terminal that they are shown on."""
BUNDLES = [name for number, name in enumerate(ATTACKS) if number % 5 == 0]
COUNTS = {
    **{kind: sum(case.kind == kind for case in REQUESTS) for kind in KINDS},
    "logged text": len(SHOWN), "model": len(MODELS), "bundle": len(BUNDLES),
    "model's template": len(TEMPLATES), "conversation": len(REFUSED_SESSIONS | OPENED_SESSIONS),
}  # fmt: skip


def test_there_are_hundreds() -> None:
    assert len(COUNTS) >= 12
    assert sum(COUNTS.values()) >= 300, COUNTS
    twice = [name for name, times in Counter(map(str, REQUESTS)).items() if times > 1]
    assert not twice


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    flags = (
        "-t", "1", "-np", "2", "-c", "1024", "--pooling", "mean", "--api-key", KEY, "--max-body",
        "1", "--timeout", str(PATIENCE), "--grace", str(GRACE), "--log-text", "--access-log",
    )  # fmt: skip
    with serve(chat, *flags) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_requests(server: Served, kind: str) -> None:
    cases = [case for case in REQUESTS if case.kind == kind]
    with health_is_prompt(server, megabytes=MEGABYTES), ThreadPoolExecutor(AT_ONCE) as pool:
        problems = [*filter(None, pool.map(lambda case: problem_of(server, case), cases))]
    assert not problems, "\n".join(problems)
    assert not [line for line in [*server.said] if line.startswith("error:")]
    assert answers(server)


@pytest.mark.parametrize("text", SHOWN, ids=ascii)
def test_texts_are_logged_as_they_can_be_shown(server: Served, text: str) -> None:
    key = {"Authorization": f"Bearer {KEY}"}
    messages = [{"role": "user", "content": text}]
    status, _, _ = call(server, "POST", CHAT, {"messages": messages, "max_tokens": 2}, **key)
    assert 200 == status
    assert answers(server)
    assert not any(CONTROL.search(line.rstrip("\n")) for line in [*server.said])


def test_clients_that_send_slowly(server: Served) -> None:
    whole = request(sized(len(hostile_bytes.BODY)))
    with health_is_prompt(server):
        begun = time.monotonic()
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
        for place in range(8):
            for client in clients:
                client.sendall(whole[place : place + 1])
        for client in clients:
            client.settimeout(BUDGET)
            assert b"" == received(client)
            client.close()
        assert time.monotonic() - begun < PATIENCE + 5
    assert answers(server)


def test_it_ends_when_told(server: Served) -> None:
    hostile = {"prompt": "Hi", "grammar": ambiguous(100)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(AT_ONCE):
            pool.submit(call, server, "POST", "/v1/completions", hostile,
                        Authorization=f"Bearer {KEY}")  # fmt: skip
        time.sleep(0.5)
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert 0 == server.process.wait(BUDGET)
        assert time.monotonic() - begun < GRACE + LATE


def problem_of(server: Served, case: Case) -> str:
    """Return what is wrong with the answer to a request; empty if nothing is."""
    begun = time.monotonic()
    try:
        status, body = exchanged(server, case)
    except TimeoutError:
        return f"{case}: no answer within {BUDGET} s"
    took = time.monotonic() - begun
    if status not in case.statuses:
        return f"{case}: {status} after {took:.1f} s, expected {case.statuses}: {body[:300]!r}"
    if status >= 400:
        message = json.loads(body)["error"]["message"]
        if not message or case.says not in message or CONTROL.search(message):
            return f"{case}: {message!r}"
    return ""


def exchanged(server: Served, case: Case) -> tuple[int, bytes]:
    """Send a request; return status and body of the first response, 0 if there is none."""
    with socket.create_connection(("127.0.0.1", server.port), BUDGET) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has seen enough
            client.sendall(case.sent)
        answer = received(client)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def received(client: socket.socket) -> bytes:
    """Return the first response that comes, or what comes of it before the connection is closed."""
    found = b""
    while True:
        head, end, body = found.partition(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if end and (not size or len(body) >= int(size[1])):
            return found
        try:
            part = client.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        if not part:
            return found
        found += part


def answers(server: Served) -> bool:
    status, _, found = call(server, "POST", CHAT, asked(), Authorization=f"Bearer {KEY}")
    return bool(status == 200 and said(found) == PARIS)


@pytest.mark.parametrize(
    ("builds", "says"),
    [
        (MODELS, "error: "),
        ({name: ATTACKS[name].build for name in BUNDLES}, ""),
        ({name: with_template(name) for name in TEMPLATES}, "error: "),
    ],
    ids=["models", "bundles", "templates"],
)
def test_models(chat: Program, tmp_path: Path, builds: Mapping[str, Build], says: str) -> None:
    def tried(item: tuple[str, Build]) -> str:
        name, build = item
        path = tmp_path / re.sub(r"\W", "-", name)
        build(path)
        done = chat("-m", str(path), "-p", "Hi", "-n", "2", "-t", "1")
        path.unlink()
        return f"{name}: {done}" if done.code not in (1, 2) or not refused(done, says) else ""

    problems = [*filter(None, each(tried, builds.items()))]
    assert not problems, "\n".join(problems)
    assert PARIS == chat.ask(FRANCE)


def test_conversations(chat: Program, tmp_path: Path) -> None:
    sound = tmp_path / "sound"
    assert 0 == chat("-p", "Hi", "--session", str(sound)).code
    saved = sound.read_bytes()

    def tried(item: tuple[str, Any]) -> str:
        name, change = item
        path = tmp_path / re.sub(r"\W", "-", name)
        path.write_bytes(change(saved))
        done = chat("-p", FRANCE, "--session", str(path), "-t", "1", "-n", "9")
        if name in REFUSED_SESSIONS:
            kept = path.read_bytes() == change(saved)
            return "" if done.code == 1 and refused(done, "error: ") and kept else f"{name}: {done}"
        return "" if done.code == 0 and done.out and refused(done, "") else f"{name}: {done}"

    problems = [*filter(None, each(tried, (REFUSED_SESSIONS | OPENED_SESSIONS).items()))]
    assert not problems, "\n".join(problems)


def test_conversations_in_a_chat(chat: Program, tmp_path: Path) -> None:
    sound = tmp_path / "sound"
    assert 0 == chat("-p", "Hi", "--session", str(sound)).code
    terminal = Terminal(chat.path, "-t", "1")
    assert terminal.shows("/help")
    for number, change in enumerate(REFUSED_SESSIONS.values()):
        path = tmp_path / f"hostile-{number}.session"
        path.write_bytes(change(sound.read_bytes()))
        terminal.type(f"/load {path}")
        terminal.answers("error: ", number + 1)
    terminal.type(FRANCE)
    assert terminal.shows(PARIS)
    terminal.type("/exit")
    assert 0 == terminal.ended()


def test_a_served_model_with_a_hostile_template(chat: Program, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with_template("doubling")(path)
    with serve(chat, "-m", str(path), "-t", "1") as server:
        with health_is_prompt(server, megabytes=MEGABYTES), ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda _: post(server, CHAT, asked(), 400), range(AT_ONCE))
            assert all("too" in one["error"]["message"] for one in found)
        assert post(server, "/v1/completions", {"prompt": "a", "max_tokens": 2})


def each(action: Callable[[Any], str], items: Any) -> Iterator[str]:
    """Do it with each, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(action, items)


def refused(done: Done, says: str) -> bool:
    """Return whether a program says why it does not go on, in words."""
    return (
        says in done.err
        and "Traceback" not in done.err
        and not any(CONTROL.search(line) for line in done.err.splitlines())
    )
