"""A worker of the produced program, and what strangers do to its port."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lenders import HELLO, SET, SET_BY_HASH, Lender, Session, lend, tensor
from program import Program
from server_client import FRANCE, until

from runtime.host.library_paths import RPC_PROTOCOL

MEGABYTE = 1 << 20


@pytest.fixture
def lender(chat: Program) -> Iterator[Lender]:
    with lend(chat, "--memory", "0.5") as running:
        yield running


def require_service(chat: Program, lender: Lender) -> None:
    done = chat("-p", FRANCE, "--rpc", lender.address)
    assert (0, "The capital of France is Paris.\n") == (done.code, done.out), done.err


def is_closed(connection: socket.socket, content: bytes) -> bool:
    """Send content and return whether the worker then closes the connection by itself.

    It may do so at the first wrong byte, while the rest is still being sent. Raises TimeoutError
    if it waits for more.
    """
    try:
        connection.sendall(content)
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_it_speaks_the_protocol_that_it_says(lender: Lender) -> None:
    major, minor, _ = Session(lender).protocol

    assert f"{major}.{minor}" == RPC_PROTOCOL


def test_it_ends_cleanly(chat: Program) -> None:
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 0)):
        with lend(chat) as lender:
            session = Session(lender)
            lender.process.send_signal(number)

            assert code == lender.process.wait(10)
            assert b"" == session.socket.recv(1)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1"])
def test_other_machines_are_let_in_only_when_told(chat: Program, address: str) -> None:
    done = chat("worker", "--host", address, "--port", "0", seconds=10)

    assert 2 == done.code
    assert f"whoever can reach {address} could use this machine, and take it over" in done.err
    assert "--i-trust-this-network" in done.err


def test_other_machines_are_let_in_with_a_warning(chat: Program) -> None:
    with lend(chat, "--host", "0.0.0.0", "--i-trust-this-network") as lender:
        assert any("warning: everybody who can reach 0.0.0.0" in line for line in lender.said)
        require_service(chat, Lender(lender.process, f"127.0.0.1:{lender.port}"))


def test_a_port_that_is_taken_is_said(chat: Program, lender: Lender) -> None:
    done = chat("worker", "--port", str(lender.port))

    assert 1 == done.code
    assert f"port {lender.port} at 127.0.0.1 cannot be listened on: Address already in use" in (
        done.err
    )


def test_more_memory_than_there_is_is_not_offered(chat: Program) -> None:
    done = chat("worker", "--port", "0", "--memory", "1000000")

    assert 1 == done.code
    assert "are to be offered, " in done.err


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\0" * 100, struct.pack("<BQ", 14, 25)],
)
def test_garbage_is_dropped_at_once(chat: Program, lender: Lender, garbage: bytes) -> None:
    begin = time.monotonic()

    assert is_closed(lender.connect(), garbage)
    assert time.monotonic() - begin < 3
    require_service(chat, lender)


@pytest.mark.parametrize("beginning", [b"", HELLO[:1], HELLO[:20]])
def test_who_says_too_little_is_dropped(lender: Lender, beginning: bytes) -> None:
    begin = time.monotonic()

    assert is_closed(lender.connect(), beginning)
    assert 3 < time.monotonic() - begin < 10


def test_a_thousand_connections_keep_nobody_out(chat: Program, lender: Lender) -> None:
    silent = [lender.connect() for _ in range(1000)]

    require_service(chat, lender)
    assert len(os.listdir(f"/proc/{lender.processes()[-1]}/fd")) < 150
    for connection in silent:
        connection.close()
    require_service(chat, lender)


@pytest.mark.parametrize(
    "content",
    [
        b"\x10" * 5000,
        struct.pack("<BQ", SET, 1 << 40) + bytes(1000),
        struct.pack("<BQ", SET, (1 << 64) - 1) + bytes(1000),
        struct.pack("<BQ", 10, 12) + struct.pack("<III", 0, 1 << 31, 0),
        struct.pack("<BQ", SET, 1000) + tensor(1, 1, 1 << 30) + bytes(1000),
    ],
    ids=["no command", "too long", "far too long", "too many nodes", "no buffer"],
)
def test_nonsense_ends_one_session_alone(chat: Program, lender: Lender, content: bytes) -> None:
    other = Session(lender)
    session = Session(lender)

    assert is_closed(session.socket, content)
    assert other.free_memory() > 0
    require_service(chat, lender)


def test_more_than_was_offered_is_not_given(lender: Lender) -> None:
    session = Session(lender)

    assert session.free_memory() <= 500_000_000
    assert 0 == session.allocate(3 << 30)
    assert session.allocate(100 * MEGABYTE)


def test_what_others_hold_is_not_offered_again(lender: Lender) -> None:
    session = Session(lender)
    buffer = session.allocate(200 * MEGABYTE)
    session.send(5, struct.pack("<QB", buffer, 1))  # clear it, so that it is really there
    session.base(buffer)

    assert Session(lender).free_memory() < 310_000_000


def test_only_so_many_are_served_at_once(lender: Lender) -> None:
    sessions = [Session(lender) for _ in range(8)]

    seccomp = [Path(f"/proc/{one}/status").read_text() for one in lender.processes()[-8:]]
    assert ["Seccomp:\t2" in status for status in seccomp] == [True] * 8
    assert is_closed(lender.connect(), HELLO)
    until(lambda: any("127.0.0.1 was refused" in line for line in lender.said))
    many = len(lender.processes())
    sessions[0].socket.close()
    until(lambda: len(lender.processes()) < many)
    Session(lender)


def fnv(data: bytes) -> int:
    found = 0xCBF29CE484222325
    for byte in data:
        found = (found ^ byte) * 0x100000001B3 % (1 << 64)
    return found


def store(session: Session, content: bytes) -> bytes:
    """Send a tensor that is to be kept; return its description."""
    buffer = session.allocate(len(content))
    described = tensor(buffer, session.base(buffer), len(content))
    session.send(SET, described + struct.pack("<BQ", 1, 0) + content)
    session.base(buffer)  # what was sent before is done then
    return described


def is_kept(session: Session, described: bytes, content: bytes) -> bool:
    question = described + struct.pack("<QQ", 0, fnv(content))
    return session.ask(SET_BY_HASH, question) == b"\1"


def test_tensors_are_kept_and_checked(chat: Program, clean_home: Path) -> None:
    content = os.urandom(10_000)
    with lend(chat, "--cache") as lender:
        described = store(session := Session(lender), content)
        (kept,) = (clean_home / "cache" / "modelembed" / "tensors").iterdir()

        assert content == kept.read_bytes()
        assert is_kept(session, described, content)
        kept.write_bytes(content[:-1])
        assert not is_kept(session, described, content)
        store(session, content)
        assert is_kept(session, described, content)


def test_no_more_is_kept_than_told(chat: Program, clean_home: Path) -> None:
    folder = clean_home / "cache" / "modelembed" / "tensors"
    with lend(chat, "--cache", "--cache-size", "0.00002") as lender:
        session = Session(lender)
        for _ in range(4):
            store(session, os.urandom(9_000))
        assert 2 == len(list(folder.iterdir()))
        session.socket.close()
        Session(lender).free_memory()
        assert 1 == len(list(folder.iterdir()))


def test_nothing_is_kept_without_being_told(chat: Program, clean_home: Path) -> None:
    content = os.urandom(10_000)
    with lend(chat) as lender:
        described = store(session := Session(lender), content)

        assert not is_kept(session, described, content)
    assert not (clean_home / "cache" / "modelembed" / "tensors").exists()
