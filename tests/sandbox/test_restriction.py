"""Each of the two mechanisms by itself, in a child: a kernel may have one and not the other."""

from __future__ import annotations

import functools
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.sandbox import proof, restriction
from runtime.sandbox.restriction import MAY_ACCEPT, MAY_CONNECT, Policy

landlock = pytest.mark.skipif(
    not restriction.landlock(), reason="this kernel has no Landlock, or hides it"
)


def in_child(work: Callable[[], object]) -> object:
    """Return what `work` returns in a child process."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(sending, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(sending)
    with open(receiving, "rb") as reading:
        said = reading.read()
    os.waitpid(child, 0)
    return json.loads(said)


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as exc:
        return type(exc).__name__
    return "done"


def test_the_proof_finds_nothing_possible_but_reading_without_landlock() -> None:
    held, possible = proof.prove()
    assert held.calls
    assert ["read files"] * (not held.files) == possible


def test_system_calls_alone_keep_files_from_being_written() -> None:
    def work() -> object:
        assert 0 == restriction._library().sandbox_calls(0)
        return {
            "read": outcome(lambda: Path("/proc/version").read_text()),
            "write": outcome(lambda: tempfile.mkstemp(dir="/tmp")),
            "truncate": outcome(lambda: os.truncate(__file__, 0)),
            "delete": outcome(lambda: os.unlink(__file__)),
            "socket": outcome(socket.socket),
            "start": outcome(lambda: subprocess.run([sys.executable, "--version"], check=True)),
        }

    assert {
        "read": "done", "write": "PermissionError",
        "truncate": "PermissionError", "delete": "PermissionError", "socket": "PermissionError",
        "start": "PermissionError",
    } == in_child(work)  # fmt: skip


@landlock
def test_files_alone_are_closed_to_threads_that_are_there_already(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")

    def work() -> object:
        go, found = threading.Event(), []

        def later() -> None:
            go.wait()
            found.append(outcome(lambda: (tmp_path / "x").read_text()))

        threads = [threading.Thread(target=later) for _ in range(50)]
        for thread in threads:
            thread.start()
        restriction._library().sandbox_files(None, 0, None, 0)
        go.set()
        for thread in threads:
            thread.join()
        return found

    assert ["PermissionError"] * 50 == in_child(work)


@landlock
def test_ports_that_are_named_can_be_reached_and_no_others() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as good,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        ports = [one.getsockname()[1] for one in (good, other)]

        def reach(port: int) -> None:
            socket.create_connection(("127.0.0.1", port), 5).close()

        def work() -> object:
            assert restriction.enter(Policy(ports=(ports[0],))).files
            return [outcome(functools.partial(reach, port)) for port in ports]

        found = in_child(work)
    assert ["done", "PermissionError" if restriction.landlock() >= 4 else "done"] == found


@pytest.mark.parametrize(
    ("permissions", "connects", "accepts"),
    [(0, False, False), (MAY_CONNECT, True, False), (MAY_ACCEPT, False, True)],
)
def test_sockets_do_what_is_permitted(permissions: int, connects: bool, accepts: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        def work() -> object:
            assert 0 == restriction._library().sandbox_calls(permissions)
            reach = lambda: socket.create_connection(server.getsockname()[:2], 5)  # noqa: E731
            return [outcome(reach), outcome(server.accept)]

        found = in_child(work)
    refused = "PermissionError"
    accepting = "done" if connects else "BlockingIOError"
    assert ["done" if connects else refused, accepting if accepts else refused] == found


def test_limits_are_lowered_and_never_raised() -> None:
    def own() -> object:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 35, 1 << 36))
        restriction.enter(Policy())
        return resource.getrlimit(resource.RLIMIT_AS)

    assert [1 << 35, 1 << 35] == in_child(own)

    def work() -> object:
        restriction.enter(Policy())
        return [resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_CORE, resource.RLIMIT_AS)]

    core, space = in_child(work)  # type: ignore[misc]
    assert 0 == core
    assert 1 << 36 < space < 1 << 46
