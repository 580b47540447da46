"""The sandbox, tried from inside: a build of the program that attempts all it must not be able to.

The build is the real one but for what `ATTEMPTS` adds behind the last line of the module that
enters the sandbox.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from mcp_agent import agent_of, text
from paths import DEMO, ROOT
from program import Program
from server_client import asked, get, post, said
from servers import serve
from workers import made_once

from runtime.sandbox import restriction

FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
ATTEMPTS = """

import ctypes as _c
import fcntl as _fcntl
import os as _os
import resource as _resource
import socket as _socket
import sys as _sys
import tempfile as _tempfile
import threading as _threading

_libc = _c.CDLL(None, use_errno=True)


def _system(*arguments):
    if _libc.syscall(*arguments) < 0:
        raise OSError(_c.get_errno(), "refused")


def _run_memory():
    fd = _os.memfd_create("program")
    _os.write(fd, b"#!/bin/true")
    _os.execve(fd, ["x"], {})


def _connect(family, address):
    with _socket.socket(family) as it:
        it.connect(address)


_here = _os.path.abspath(_sys.executable)
_attempts = {
    "read a system file": lambda: open("/etc/passwd"),
    "read the user's files": lambda: _os.listdir(_os.path.expanduser("~")),
    "read the folder it is in": lambda: _os.listdir(_os.getcwd()),
    "read a device": lambda: open("/dev/zero"),
    "read another process": lambda: open("/proc/1/environ"),
    "read its parent": lambda: open(f"/proc/{_os.getppid()}/maps"),
    "write where it is": lambda: open("planted", "x"),
    "write a temporary file": lambda: _tempfile.mkstemp(dir="/tmp"),
    "write a nameless file": lambda: _os.open("/tmp", _os.O_TMPFILE | _os.O_RDWR),
    "write into itself": lambda: open(_here, "r+b"),
    "write into its memory": lambda: open("/proc/self/mem", "r+b"),
    "delete itself": lambda: _os.unlink(_here),
    "rename itself": lambda: _os.rename(_here, _here + ".x"),
    "link itself": lambda: _os.link(_here, _here + ".x"),
    "make a folder": lambda: _os.mkdir("/tmp/planted-folder"),
    "change a mode": lambda: _os.chmod(_here, 0o777),
    "change a time": lambda: _os.utime(_here),
    "open a socket": lambda: _socket.socket(_socket.AF_INET).close(),
    "open one of IPv6": lambda: _socket.socket(_socket.AF_INET6).close(),
    "open a local one": lambda: _socket.socket(_socket.AF_UNIX).close(),
    "open a raw one": lambda: _socket.socket(_socket.AF_PACKET).close(),
    "connect": lambda: _connect(_socket.AF_INET, ("127.0.0.1", 9)),
    "look up a host": lambda: _socket.getaddrinfo("example.org", 80),
    "start a program": lambda: _os.posix_spawn("/bin/true", ["true"], {}),
    "start itself": lambda: _os.posix_spawn(_here, ["x"], {}),
    "become a program": lambda: _os.execv("/bin/true", ["true"]),
    "become one in memory": _run_memory,
    "fork": lambda: _os.fork() or _os._exit(0),
    "signal its parent": lambda: _os.kill(_os.getppid(), 0),
    "signal its group": lambda: _os.killpg(0, 0),
    "trace its parent": lambda: _system(101, 16, _os.getppid(), 0, 0),
    "read its parent's memory": lambda: _system(310, _os.getppid(), None, 0, None, 0, 0),
    "enter a namespace": lambda: _system(272, 0x10000000),
    "mount": lambda: _system(165, b"x", b"/mnt", b"tmpfs", 0, None),
    "change its root": lambda: _os.chroot("/tmp"),
    "use io_uring": lambda: _system(425, 1, None),
    "load a BPF program": lambda: _system(321, 0, None, 0),
    "watch events": lambda: _system(298, None, 0, -1, -1, 0),
    "type into the terminal": lambda: _fcntl.ioctl(0, 0x5412, b"x"),
    "dump its core": lambda: _resource.setrlimit(_resource.RLIMIT_CORE, (1, 1)),
    "become somebody else": lambda: _os.setuid(65534),
}


def _try_all(found):
    for what, attempt in _attempts.items():
        try:
            attempt()
        except (OSError, ValueError) as exc:
            continue
        found.append(what)


_begin = _threading.Event()
_older_found = []
_older = _threading.Thread(target=lambda: _begin.wait() and _try_all(_older_found), daemon=True)
_entered = confine


def confine(*arguments, **options):
    _older.start()  # a thread that is there before, as the engine's are
    _entered(*arguments, **options)
    found, newer_found = [], []
    newer = _threading.Thread(target=_try_all, args=(newer_found,))
    newer.start()
    newer.join()
    _begin.set()
    _older.join()
    _try_all(found)
    everything = {"main": found, "older": _older_found, "newer": newer_found}
    import json
    line = json.dumps({"tried": len(_attempts), "possible": everything})
    print("ATTEMPTS " + line, file=_sys.stderr, flush=True)
"""
NEEDED = ("bundler", "runtime", "build.spec", "LICENSE", "pyproject.toml")


@pytest.fixture(scope="module")
def trying(tmp_path_factory: pytest.TempPathFactory, stub: Path) -> Program:
    """Return the program that makes the attempts."""

    def build(folder: Path) -> None:
        source = folder / "source"
        source.mkdir()
        for name in NEEDED:
            where = ROOT / name
            copy = shutil.copytree if where.is_dir() else shutil.copy2
            copy(where, source / name)
        with open(source / "runtime/dialogue/confinement.py", "a", encoding="utf-8") as module:
            module.write(ATTEMPTS)
        subprocess.run(
            [sys.executable, "-m", "bundler", "bundle", DEMO, "-o", folder / "trying",
             "--no-check", "--set", "temp=0", "--compress", "none"],
            check=True, cwd=source, env={**os.environ, "PYTHONPATH": str(source)},
        )  # fmt: skip

    return Program(made_once(tmp_path_factory, "trying", build) / "trying")


def possible(said: str | Iterable[str]) -> list[dict[str, list[str]]]:
    """Return what was possible in each process, by its threads."""
    lines = said.splitlines() if isinstance(said, str) else said
    reports = [line.removeprefix("ATTEMPTS ") for line in lines if line.startswith("ATTEMPTS ")]
    found = [json.loads(report) for report in reports]
    assert all(one["tried"] > 35 for one in found)
    return [one["possible"] for one in found]


NOTHING: dict[str, list[str]] = {"main": [], "older": [], "newer": []}
landlock = pytest.mark.skipif(
    not restriction.landlock(), reason="this kernel has no Landlock, or hides it"
)


@landlock
@pytest.mark.parametrize(
    "flags", [(FRANCE,), ("-i",), ("--raw", "The capital"), (FRANCE, "--session", "x.talk")]
)
def test_nothing_is_possible_in_a_chat(
    trying: Program, flags: tuple[str, ...], tmp_path: Path
) -> None:
    done = subprocess.run(
        [trying.path, *flags], input=f"{FRANCE}\n", capture_output=True, encoding="utf-8",
        check=True, cwd=tmp_path,
    )  # fmt: skip
    assert [NOTHING] == possible(done.stderr)
    assert "--raw" in flags or done.stdout.startswith(PARIS)
    assert {"x.talk"} >= {path.name for path in tmp_path.iterdir()}


@landlock
@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_possible_in_a_server(trying: Program, workers: int) -> None:
    with serve(trying, "--workers", str(workers)) as server:
        assert [NOTHING] * workers == possible(server.said)
        assert PARIS == said(post(server, "/v1/chat/completions", asked()))
        assert "paths" in get(server, "/openapi.json")
        assert 0 == server.stop()


@landlock
def test_nothing_is_possible_for_an_agent(trying: Program) -> None:
    with agent_of(trying) as (agent, process):
        agent.begin()
        assert PARIS == text(agent.call(question=FRANCE))
        agent.close()
        assert process.stderr
        assert [NOTHING] == possible(process.stderr.read().decode())


@landlock
def test_a_fallback_leaves_the_network_alone(trying: Program) -> None:
    flags = ["-m", "missing.gguf", "--fallback-on-error", "--fallback-model", "x"]
    flags += ["--fallback-base-url", "http://127.0.0.1:9/v1"]
    found = possible(trying(FRANCE, *flags).err)
    network = {"open a socket", "open one of IPv6", "open a local one", "look up a host"}
    for places in found[0].values():
        assert set(places) <= {*network, "read a system file"}


def test_it_can_be_left_out(chat: Program) -> None:
    done = chat("-v", "--no-sandbox", FRANCE)
    assert "note: sandbox: none (--no-sandbox)" in done.err
    assert f"{PARIS}\n" == done.out


def test_what_holds_is_told(chat: Program) -> None:
    assert "note: sandbox: " in chat("-v", FRANCE).err
    holding = "ok" if restriction.landlock() else "warn"
    for flags, state in ((), holding), (("--no-sandbox",), "warn"):
        lines = chat("doctor", *flags).out.splitlines()
        assert [state] == [line.split()[0] for line in lines if "  sandbox  " in line]


def test_what_the_user_asks_for_is_still_possible(chat: Program, tmp_path: Path) -> None:
    """Files named after the start are opened by the process outside, and are what they must be."""
    other = tmp_path / "letter.txt"
    other.write_text("Dear")
    saved, report = tmp_path / "talk.conversation", tmp_path / "report.json"
    lines = [FRANCE, f"/save {saved}", f"/save {saved}", "/clear", f"/load {saved}"]
    lines += [f"/load {other}", f"/save {other}", f"/lora {DEMO}", "/lora nowhere.gguf"]
    done = chat("-i", "--report", str(report), stdin="\n".join([*lines, ""]))
    assert done.code == 0
    assert done.out.count(f"saved to {saved}") == 2
    assert f"opened {saved} (1 question)" in done.out
    assert done.out.count("letter.txt is not a saved conversation") == 2
    assert "demo.gguf is no LoRA adapter" in done.out
    assert "there is no adapter 'nowhere.gguf'" in done.out
    assert "Dear" == other.read_text()
    assert "modelembed report" == json.loads(report.read_text())["kind"]
