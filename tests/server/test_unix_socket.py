"""UNIX sockets to listen on: names, those left over, and those in use."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from runtime.errors import PortError, UsageError
from runtime.server.http import unix_socket


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("127.0.0.1", None),
        ("localhost", None),
        ("::1", None),
        ("unix:/tmp/chat", "/tmp/chat"),
        ("/tmp/chat.sock", "/tmp/chat.sock"),
        ("unix:/tmp/a b.sock", "/tmp/a b.sock"),
    ],
)
def test_which_socket_is_meant(host: str, path: str | None) -> None:
    assert (path and Path(path)) == unix_socket.path_of(host)


def test_a_relative_path_is_below_this_folder() -> None:
    assert Path.cwd() / "chat.sock" == unix_socket.path_of("chat.sock")


def test_only_its_owner_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    before = os.umask(0)
    try:
        with unix_socket.bind(path):
            assert 0o600 == stat.S_IMODE(path.stat().st_mode)
            assert 0 == os.umask(0)
    finally:
        os.umask(before)


def test_a_socket_that_is_left_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with unix_socket.bind(path):
        with pytest.raises(PortError, match=r"a server listens at .*a\.sock already"):
            unix_socket.bind(path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert path.is_socket()
    with unix_socket.bind(path):
        pass
    unix_socket.remove_left(path)
    assert not path.exists()


def test_another_s_socket_is_not_removed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix_socket, "ENDING_SECONDS", 0.1)
    path = tmp_path / "a.sock"
    with unix_socket.bind(path):
        unix_socket.remove_left(path)
        assert path.is_socket()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is there already, and is no socket"):
        unix_socket.bind(path)
    unix_socket.remove_left(path)
    assert "mine" == path.read_text()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (Path("/"), "is none"),
        (Path("/tmp/" + "x" * 103 + ".sock"), "has 113 bytes, at most 107 are possible"),
        (Path("/nowhere/a.sock"), "cannot be made: No such file"),
    ],
)
def test_paths_that_cannot_be(path: Path, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        unix_socket.bind(path)


def test_the_longest_path(tmp_path: Path) -> None:
    name = "x" * (unix_socket.LONGEST - len(os.fsencode(tmp_path)) - 1)
    with unix_socket.bind(tmp_path / name):
        assert (tmp_path / name).is_socket()
