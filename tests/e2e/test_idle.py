"""The produced server when nobody asks it anything: its memory, and what wakes it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from adapters import write_adapter
from paths import DEMO
from program import Program
from real_models import real_embedder
from server_client import asked, call, get, post, said, until
from servers import Served, serve
from sleepers import (
    FLAGS,
    answer,
    is_sleeping,
    megabytes_held,
    megabytes_of_memory_files,
    processes_of,
    wait_until_asleep,
    write_large_model,
)
from watched import health_is_prompt
from workers import made_once

GRACE = 3.0
QUIET = ("/health", "/v1/health", "/props", "/v1/models", "/models", "/metrics", "/slots", "/",
         "/api/tags", "/api/ps", "/api/version", "/openapi.json", "/lora-adapters")  # fmt: skip


@pytest.fixture(scope="module")
def made(modelembed: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model and programs of it, stored and compressed."""

    def make(folder: Path) -> None:
        model = write_large_model(folder / "large.gguf")
        for name, compression in (("stored", "none"), ("packed", "max")):
            done = modelembed(
                "bundle", str(model), "-o", str(folder / name), "--no-check", "--compress",
                compression,
            )  # fmt: skip
            assert done.code == 0, done.err

    return made_once(tmp_path_factory, "idle", make)


FORMS: dict[str, tuple[str, Sequence[str]]] = {
    "stored": ("stored", ()),
    "stored, not repacked": ("stored", ("--no-repack",)),
    "stored, not mapped": ("stored", ("--no-mmap",)),
    "compressed": ("packed", ()),
    "compressed, not repacked": ("packed", ("--no-repack",)),
    "compressed, in a file": ("packed", ("--no-memfd",)),
    "compressed, kept": ("packed", ("--cache",)),
    "-m gguf": ("stub", ("-m", "large.gguf")),
    "-m program": ("stub", ("-m", "packed")),
}


def program_of(form: str, made: Path, stub: Path) -> tuple[Program, list[str]]:
    """Return a program, and its flags beside those that all have."""
    name, flags = FORMS[form]
    path = stub if name == "stub" else made / name
    return Program(path), [str(made / one) if (made / one).exists() else one for one in flags]


@pytest.mark.parametrize("form", FORMS)
def test_memory_is_given_back_until_somebody_asks(
    form: str, made: Path, stub: Path, clean_home: Path
) -> None:
    program, flags = program_of(form, made, stub)
    with serve(program, *FLAGS, *flags) as server:
        first = answer(server)
        before = megabytes_held(server)
        files = megabytes_of_memory_files()
        wait_until_asleep(server)
        asleep = megabytes_held(server)
        # The weights take 60 MB or more, the context 96.
        assert before - asleep > 130, f"{before:.0f} MB before, {asleep:.0f} after"
        assert megabytes_of_memory_files() - files < 20
        for path in QUIET:
            get(server, path)
        assert is_sleeping(server)
        again = answer(server)

        assert first == again
        assert not is_sleeping(server)
        assert abs(megabytes_held(server) - before) < 40
        wait_until_asleep(server)
        assert abs(megabytes_held(server) - asleep) < 10
        assert first == answer(server)
        assert server.stop() == 0
        assert "Traceback" not in "".join(server.said)


def test_a_dozen_who_wake_it_at_once_are_all_answered(made: Path) -> None:
    with serve(Program(made / "packed"), *FLAGS) as server:
        first = answer(server)
        for _ in range(2):
            wait_until_asleep(server)
            with health_is_prompt(server), ThreadPoolExecutor(12) as pool:
                found = [*pool.map(lambda _: answer(server), range(12))]
            assert [first] * 12 == found
        assert server.stop() == 0


def test_it_stays_awake_while_an_answer_streams(made: Path) -> None:
    with serve(Program(made / "stored"), *FLAGS) as server:
        answer(server)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = {"prompt": "ab", "n_predict": 4000, "ignore_eos": True, "stream": True}
        connection.request("POST", "/completion", json.dumps(body))
        response = connection.getresponse()
        end = time.monotonic() + 3
        parts = 0
        while time.monotonic() < end:
            assert response.readline()
            parts += 1
            assert not is_sleeping(server)
        assert parts > 10
        connection.close()
        wait_until_asleep(server)


def test_adapters_and_the_prewarmed_beginning_come_back(
    modelembed: Program, stub: Path, tmp_path: Path
) -> None:
    noise = write_adapter(tmp_path / "noise.gguf")
    target = tmp_path / "chat"
    done = modelembed(
        "bundle", str(DEMO), "-o", str(target), "--lora", str(noise), "--no-check", "--prewarm",
        "--system", "Your name is Max.", "--set", "temp=0", "--set", "n_predict=20",
    )  # fmt: skip
    assert done.code == 0, done.err
    flags = ("--sleep-idle-seconds", "1", "-t", "1")
    with serve(Program(target), *flags) as server:

        def turn() -> tuple[str, int]:
            found = post(server, "/v1/chat/completions", asked())
            return said(found), found["usage"]["prompt_tokens_details"]["cached_tokens"]

        first, cached = turn()
        assert cached > 2
        wait_until_asleep(server)
        assert (first, cached) == turn()
        post(server, "/lora-adapters", [{"id": 0, "scale": 0.5}])
        other, _ = turn()
        wait_until_asleep(server)
        assert 0.5 == get(server, "/lora-adapters")[0]["scale"]
        assert is_sleeping(server)
        assert other == turn()[0] != first
    # A file is read again although the sandbox is closed.
    program = Program(stub, ("-m", str(DEMO), "--lora", str(noise), "--temp", "0", "-n", "20"))
    with serve(program, *flags) as server:
        before = said(post(server, "/v1/chat/completions", asked()))
        wait_until_asleep(server)
        noise.unlink()
        assert before == said(post(server, "/v1/chat/completions", asked()))


def test_what_is_counted_goes_on(chat: Program) -> None:
    def decoded(server: Served) -> int:
        found = re.search(r"^llamacpp:n_decode_total (\d+)$", get(server, "/metrics"), re.M)
        assert found
        return int(found[1])

    with serve(chat, "--sleep-idle-seconds", "1", "-t", "1") as server:
        post(server, "/v1/chat/completions", asked())
        before = decoded(server)
        assert before > 0
        wait_until_asleep(server)
        assert before == decoded(server)
        post(server, "/v1/chat/completions", asked())
        assert decoded(server) > before


def test_two_workers_sleep_and_wake(made: Path) -> None:
    with serve(Program(made / "packed"), *FLAGS, "--workers", "2") as server:
        first = answer(server)
        with ThreadPoolExecutor(8) as pool:
            assert {first} == set(pool.map(lambda _: answer(server), range(8)))
        before, files = megabytes_held(server), megabytes_of_memory_files()
        wait_until_asleep(server)
        asleep = megabytes_held(server)
        assert before - asleep > 130, f"{before:.0f} MB before, {asleep:.0f} after"
        assert files - megabytes_of_memory_files() > 50  # which they share
        with ThreadPoolExecutor(8) as pool:
            assert {first} == set(pool.map(lambda _: answer(server), range(8)))
        wait_until_asleep(server)
        assert abs(megabytes_held(server) - asleep) < 20


def test_a_worker_that_dies_asleep_is_replaced(made: Path) -> None:
    with serve(Program(made / "packed"), *FLAGS, "--workers", "2") as server:
        first = answer(server)
        wait_until_asleep(server)
        *_, worker = processes_of(server)
        os.kill(worker, signal.SIGKILL)
        until(lambda: "another takes its place" in "".join(server.said))
        with ThreadPoolExecutor(8) as pool:
            assert {first} == set(pool.map(lambda _: answer(server), range(8)))
        wait_until_asleep(server)


def ending(server: Served) -> float:
    """Tell a server to end; return how many seconds that took."""
    begun = time.monotonic()
    assert server.stop() == 0
    return time.monotonic() - begun


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("late", [0.0, 0.02, 0.05, 0.1])
def test_it_ends_while_it_falls_asleep(late: float, workers: int, made: Path) -> None:
    flags = (*FLAGS, "--workers", str(workers), "--grace", str(GRACE))
    with serve(Program(made / "packed"), *flags) as server:
        answer(server)
        time.sleep(0.95 + late)  # it falls asleep after a second
        assert ending(server) < GRACE
        assert "Traceback" not in "".join(server.said)


@pytest.mark.parametrize("workers", [1, 2])
def test_it_ends_while_it_sleeps(workers: int, made: Path) -> None:
    with serve(Program(made / "packed"), *FLAGS, "--workers", str(workers)) as server:
        wait_until_asleep(server)
        assert ending(server) < 2


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("late", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_it_ends_while_it_wakes(late: float, workers: int, made: Path) -> None:
    flags = (*FLAGS, "--workers", str(workers), "--grace", str(GRACE))
    with serve(Program(made / "packed"), *flags) as server:
        first = answer(server)
        wait_until_asleep(server)
        found: list[Any] = []

        def ask() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):  # it ended before
                body = {"prompt": "abc abd abe abf", "n_predict": 6, "ignore_eos": True}
                found.append(call(server, "POST", "/completion", body))

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(late)
        assert ending(server) < GRACE + 2
        thread.join()
        assert found or late < 0.1  # it had not come yet
        for status, _, body in found:
            assert (status, body.get("content")) == (200, first) or status == 503
        assert "Traceback" not in "".join(server.said)


def test_without_memory_it_says_so_and_tries_again(made: Path) -> None:
    with serve(Program(made / "stored"), *FLAGS) as server:
        first = answer(server)
        wait_until_asleep(server)
        *_, process = processes_of(server)
        before = resource.prlimit(process, resource.RLIMIT_AS)
        statm = Path(f"/proc/{process}/statm").read_text().split()
        used = int(statm[0]) * resource.getpagesize()
        resource.prlimit(process, resource.RLIMIT_AS, (used + (20 << 20), before[1]))
        for _ in range(2):
            status, headers, found = call(server, "POST", "/completion", {"prompt": "a"})
            assert 503 == status
            assert found["error"]["message"].startswith("the model cannot be loaded again: ")
            assert headers["Retry-After"]
        get(server, "/health")
        assert is_sleeping(server)
        resource.prlimit(process, resource.RLIMIT_AS, before)
        assert first == answer(server)


def test_what_cannot_be(chat: Program) -> None:
    for flags, words in (
        (("--sleep-idle-seconds", "0"), "leaves no time to answer"),
        (("--sleep-idle-seconds", "5", "--rpc", "127.0.0.1:1"), "cannot be loaded again"),
    ):
        done = chat("serve", *flags)
        assert (2, "") == (done.code, done.out)
        assert words in done.err


def test_documents_are_found_by_their_meaning_again(modelembed: Program, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "hours.txt").write_text("The exhibition can be visited daily from nine o'clock.\n")
    (folder / "bread.txt").write_text("Flour, water, salt and yeast are what a loaf is made of.\n")
    done = modelembed(
        "bundle", str(DEMO), "-o", str(tmp_path / "guide"), "--docs", str(folder), "--embedder",
        str(real_embedder("minilm")), "--no-check", "--compress", "none",
    )  # fmt: skip
    assert done.code == 0, done.err
    with serve(Program(tmp_path / "guide"), "--sleep-idle-seconds", "1", "-t", "1") as server:
        question = {"query": "When does the museum open?"}
        first = post(server, "/v1/search", question)["data"]
        before = megabytes_held(server)
        wait_until_asleep(server)
        assert before - megabytes_held(server) > 10
        assert get(server, "/v1/documents/0")["text"]
        assert is_sleeping(server)
        assert first == post(server, "/v1/search", question)["data"]
