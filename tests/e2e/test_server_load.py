"""The produced server under load, at its end, in several processes, and without its model."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from paths import DEMO
from program import Program
from server_client import asked, call, events, get, post, said, until
from servers import Served, serve

from benchmarks.load import load

SECONDS = float(os.environ.get("LOAD_SECONDS", "8"))
"""Of load in the longest test here; two minutes for the figure in benchmarks/."""
CLIENTS = 64
PARIS = "The capital of France is Paris."


def known(facts: dict[str, list[dict[str, str]]]) -> list[dict[str, str]]:
    """Return questions that the model answers right."""
    return facts["questions"][: 4 * CLIENTS]


def test_64_clients_who_come_and_go(chat: Program, facts: dict[str, list[dict[str, str]]]) -> None:
    with serve(chat, "-t", "1", "-np", "8", "-c", "4096") as server:
        tally = load(server.port, known(facts), clients=CLIENTS, seconds=SECONDS)
        assert tally.lost == 0, tally.examples[:5]
        assert tally.outcomes["right"] > 50
        assert tally.outcomes["left"] > 10
        until(lambda: not any(slot["is_processing"] for slot in get(server, "/slots")))
        assert "requests_processing 0" in get(server, "/metrics")
        assert PARIS == said(post(server, "/v1/chat/completions", asked()))
        assert server.stop() == 0
        assert "Traceback" not in "".join(server.said)


def ending(chat: Program, *flags: str, second: bool = False) -> tuple[list[str], float, int]:
    """Stop a server while it answers; return what a client got, after how long, the exit code."""
    more = ("-t", "1", "-np", "2", "-c", "200000", "--no-fit")
    with serve(chat, *more, *flags) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = asked(ignore_eos=True, stream=True)
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        response = connection.getresponse()
        assert response.readline()
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(server), 60)
        if second:
            time.sleep(0.8)  # what comes sooner is taken for the same signal
            server.process.send_signal(signal.SIGTERM)
        lines = [line.decode().strip() for line in response if line.strip()]
        took = time.monotonic() - begin
        connection.close()
        code = server.process.wait(30)
    return lines, took, code


def refuses(server: Served) -> bool:
    """Tell whether nobody new gets in."""
    try:
        get(server, "/health")
    except OSError:
        return True
    return False


def test_the_end_cuts_what_runs_too_long(chat: Program) -> None:
    lines, took, code = ending(chat, "--grace", "1")
    assert code == 0
    assert 0.8 < took < 30  # the answer would go on for many minutes
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[-2].removeprefix("data: "))["error"]["code"] == 503


def test_a_second_signal_waits_for_nothing(chat: Program) -> None:
    lines, took, code = ending(chat, "--grace", "60", second=True)
    assert code == 0
    assert took < 30
    assert lines[-1] == "data: [DONE]"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_lets_answers_finish(chat: Program, number: int) -> None:
    with serve(chat, "-t", "1", "-np", "4") as server:
        found: list[Any] = []

        def ask() -> None:
            with contextlib.suppress(ConnectionError):
                found.append(call(server, "POST", "/v1/chat/completions", asked()))

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        until(lambda: any(s["is_processing"] for s in get(server, "/slots")) or len(found) > 3)
        server.process.send_signal(number)
        for thread in threads:
            thread.join()
        assert server.process.wait(30) == 0
        assert found
        for status, _, answer in found:
            assert status in (200, 503)
            assert status == 503 or PARIS == said(answer)


@pytest.mark.parametrize("form", ["stored", "zstd"])
def test_several_processes(
    forms: dict[str, Path], form: str, facts: dict[str, list[dict[str, str]]]
) -> None:
    flags = ("-t", "1", "-np", "4", "--workers", "2", "-c", "2048", "--grace", "600")
    with serve(Program(forms[form]), *flags) as server:
        tally = load(server.port, known(facts), clients=16, seconds=3)
        assert tally.lost == 0, tally.examples[:5]
        assert "llamacpp:workers 2" in get(server, "/metrics")

        workers = processes(server.process.pid)
        assert len(workers) == 2
        if form == "zstd":
            # One restored model, inherited: not one each.
            maps = [Path(f"/proc/{pid}/maps").read_text() for pid in workers]
            inodes = {re.findall(r" (\d+) +/memfd:model", text)[0] for text in maps}
            assert len(inodes) == 1
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: "another takes its place" in "".join(server.said))
        until(lambda: len(processes(server.process.pid)) == 2)
        for _ in range(4):
            assert PARIS == said(post(server, "/v1/chat/completions", asked()))
        assert server.stop() == 0  # long before its grace is over: nobody is answered
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.parametrize("moment", ["first", "replaced"])
def test_workers_that_load_hear_that_they_must_end(chat: Program, moment: str) -> None:
    """They are told to end before they have a loop of events that hears it."""
    flags = ("-t", "1", "--workers", "2", "--grace", "600", "--port", "0")
    command = [str(chat.path), "serve", *chat.flags, *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            if moment == "first":
                until(lambda: len(processes(process.pid)) == 2)
            else:
                until(lambda: b"http" in process.stderr.readline())  # type: ignore[union-attr]
                os.kill(processes(process.pid)[0], signal.SIGKILL)
                until(lambda: b"another takes" in process.stderr.readline())  # type: ignore[union-attr]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_workers_end_with_their_supervisor(chat: Program) -> None:
    with serve(chat, "-t", "1", "--workers", "2") as server:
        workers = processes(server.process.pid)
        parent = int(Path(f"/proc/{workers[0]}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(parent, signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in workers), 20)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def processes(pid: int) -> list[int]:
    """Return the youngest generation of processes below `pid`: the workers."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    below = [worker for child in children for worker in processes(child)]
    return below or children


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.gguf"
    path.write_bytes(DEMO.read_bytes()[:100_000])
    return path


def elsewhere(server: Served, *, model: str = "spare") -> tuple[str, ...]:
    return (
        "--fallback-on-error", "--fallback-base-url", f"{server.url}/v1",
        "--fallback-model", model, "--fallback-api-key-env", "SPARE_KEY",
    )  # fmt: skip


def test_another_server_answers_only_if_the_user_says_so(chat: Program, broken: Path) -> None:
    with serve(chat, "-t", "1", "--api-key", "spare-key") as spare:
        alone = chat("serve", "-m", str(broken), "--port", "0")
        assert alone.code == 1
        assert "FALLBACK" not in alone.err

        program = Program(chat.path, environment={"SPARE_KEY": "spare-key"})
        flags = ("-m", str(broken), *elsewhere(spare))
        with serve(program, *flags) as server:
            assert f"FALLBACK: answers come from {spare.url}/v1 (spare)" in "".join(server.said)
            _, headers, answer = call(server, "POST", "/v1/chat/completions", asked())
            assert PARIS == said(answer)
            assert headers["x-modelembed-fallback"] == f"{spare.url}/v1"
            parts = events(server, "/v1/chat/completions", asked())
            deltas = [part["choices"][0]["delta"] for part in parts if part["choices"]]
            assert PARIS == "".join(delta.get("content") or "" for delta in deltas)
            assert get(server, "/props")["modelembed"]["fallback"] == f"{spare.url}/v1"
            assert get(server, "/health")["fallback"] == f"{spare.url}/v1"
            assert "<html" in get(server, "/")
            assert 501 == call(server, "POST", "/tokenize", {"content": "x"})[0]
            wrong = call(server, "POST", "/v1/chat/completions", {"messages": 3})
            assert 400 == wrong[0]
            garbled = call(server, "POST", "/v1/chat/completions", b'{"messages": "\xff"}')
            assert 400 == garbled[0]

        done = program("-p", "What is the capital of France?", *flags)
        assert (0, f"{PARIS}\n") == (done.code, done.out)
        assert "FALLBACK" in done.err
        talk = program("-i", *flags, stdin="My name is Ada.\nWhat is my name?\n")
        assert "Your name is Ada." in talk.out
        assert "FALLBACK" in talk.out

        wrong_key = Program(chat.path, environment={"SPARE_KEY": "other"})
        refused = wrong_key("-p", "hello", *flags)
        assert refused.code == 1
        assert "refuses (401)" in refused.err
        with serve(wrong_key, *flags) as server:
            assert 502 == call(server, "POST", "/v1/chat/completions", asked())[0]
        missing = chat("-p", "hello", *flags)
        assert missing.code == 2
        assert "SPARE_KEY" in missing.err
    gone = program("-p", "hello", *flags)
    assert gone.code == 1
    assert "cannot be asked" in gone.err


def test_another_server_answers_for_several_processes(
    forms: dict[str, Path], tmp_path: Path
) -> None:
    """What they share is unpacked before they begin; what is damaged is found then."""
    damaged = tmp_path / "damaged"
    data = bytearray(forms["zstd"].read_bytes())
    first = json.loads(Program(forms["zstd"])("info", "--json").out)["sections"][0]
    data[first["offset"] + first["length"] // 2] ^= 1
    damaged.write_bytes(data)
    damaged.chmod(0o755)
    flags = ("--fallback-on-error", "--fallback-base-url", "http://127.0.0.1:9/v1")
    with serve(
        Program(damaged), "-t", "1", "--workers", "2", *flags, "--fallback-model", "spare"
    ) as server:
        assert 1 == "".join(server.said).count("FALLBACK: answers come from")
        assert get(server, "/health")["fallback"] == "http://127.0.0.1:9/v1"


def test_the_fallback_is_baked_in_by_a_config(
    modelembed: Program, tmp_path: Path, stub: Path
) -> None:
    config = tmp_path / "config.json"
    fallback = {"base_url": "https://example.org/v1", "model": "m", "api_key_env": "KEY"}
    config.write_text(json.dumps({"fallback_on_error": True, "fallback": fallback}))
    out = tmp_path / "out"
    done = modelembed("bundle", str(DEMO), "-o", str(out), "--config", str(config))
    assert done.code == 0, done.err
    shown = Program(out)("info").out
    assert "https://example.org/v1" in shown
    with serve(Program(out), "-t", "1") as server:
        assert PARIS == said(post(server, "/v1/chat/completions", asked()))
        assert "the fallback will not be available: its key should be" in "".join(server.said)


def test_a_double_click_opens_the_page(chat: Program, modelembed: Program, tmp_path: Path) -> None:
    """Nobody sees what it prints: no terminal, no pipe, a desktop."""
    with socket.socket() as free:  # the usual one may be somebody else's
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clicked = tmp_path / "clicked"
    made = modelembed("edit", str(chat.path), "--set", f"port={port}", "-o", str(clicked))
    assert made.code == 0, made.err
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1 ${{LD_LIBRARY_PATH:-clean}}" >> {tmp_path}/opened\n')
    browser.chmod(0o755)
    opened = tmp_path / "opened"
    environment = {**os.environ, "BROWSER": f"{browser} %s", "DISPLAY": ":99"}
    environment.pop("LD_LIBRARY_PATH", None)

    def click() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [clicked],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def addresses() -> list[str]:
        return opened.read_text().splitlines() if opened.exists() else []

    with click() as first:
        until(lambda: len(addresses()) == 1, 30)
        url, path = addresses()[0].split()
        assert (url, path) == (f"http://127.0.0.1:{port}", "clean")
        with urllib.request.urlopen(f"{url}/health", timeout=10) as response:
            assert {"status": "ok"} == json.load(response)
        with click() as second:
            assert second.wait(30) == 0
        assert addresses() == [f"{url} clean"] * 2
        first.terminate()
        assert first.wait(30) == 0
