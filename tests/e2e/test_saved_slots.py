"""Slots' actions: a sequence's state goes to a file and comes back, from inside the sandbox."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import Program
from server_client import asked, call, get, post, said
from servers import Served, serve

PARIS = "The capital of France is Paris."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slots")


@pytest.fixture(scope="module")
def server(chat: Program, folder: Path) -> Iterator[Served]:
    with serve(chat, "-t", "1", "-np", "2", "--slot-save-path", str(folder)) as running:
        yield running


def act(server: Served, slot: object, action: str, name: str = "", status: int = 200) -> Any:
    body = {"filename": name} if name else None
    code, _, found = call(server, "POST", f"/slots/{slot}?action={action}", body)
    assert status == code, found
    return found


def cached(server: Served, slot: int) -> int:
    """Return how much of the question was there already; the answer is right."""
    answer = post(server, "/v1/chat/completions", asked(id_slot=slot))
    assert PARIS == said(answer)
    return int(answer["usage"]["prompt_tokens_details"]["cached_tokens"])


def test_a_slot_is_saved_erased_and_restored(server: Served, folder: Path) -> None:
    cached(server, 0)
    saved = act(server, 0, "save", "one.bin")
    held = get(server, "/slots")[0]["n_tokens"]
    assert (0, "one.bin", held) == (saved["id_slot"], saved["filename"], saved["n_saved"])
    assert (folder / "one.bin").stat().st_size == saved["n_written"] > 10_000
    assert saved["timings"]["save_ms"] > 0
    assert 0o600 == (folder / "one.bin").stat().st_mode & 0o777

    assert {"id_slot": 0, "n_erased": held} == act(server, 0, "erase")
    assert {"id_slot": 1, "n_erased": 0} == act(server, 1, "erase")
    assert 0 == cached(server, 0)
    act(server, 0, "erase")
    restored = act(server, 1, "restore", "one.bin")
    assert (held, saved["n_written"]) == (restored["n_restored"], restored["n_read"])
    assert restored["timings"]["restore_ms"] > 0
    assert held == get(server, "/slots")[1]["n_tokens"]
    assert cached(server, 1) > 10


def test_a_file_is_replaced_if_it_was_saved_and_kept_if_not(server: Served, folder: Path) -> None:
    cached(server, 0)
    act(server, 0, "save", "again.bin")
    before = (folder / "again.bin").stat().st_ino
    act(server, 0, "save", "again.bin")
    assert before != (folder / "again.bin").stat().st_ino
    (folder / "mine.txt").write_text("mine")
    refused = act(server, 0, "save", "mine.txt", 400)["error"]
    assert "mine.txt is not a saved conversation: it is kept" == refused["message"]
    assert "mine" == (folder / "mine.txt").read_text()
    assert "filename" == refused["param"]


def test_what_is_refused(server: Served, folder: Path, chat: Program) -> None:
    outside = folder.parent / "outside.bin"
    for name in ("../outside.bin", "/tmp/outside.bin", "..", "a/b", "x\0y", "a\nb"):
        assert "is not the name of a file" in act(server, 0, "save", name, 400)["error"]["message"]
        act(server, 0, "restore", name, 400)
    assert not outside.exists()
    message = act(server, 0, "restore", "none.bin", 400)["error"]["message"]
    assert "none.bin cannot be opened: No such file or directory" == message  # nor where
    assert "'filename' is missing" in act(server, 0, "save", status=400)["error"]["message"]
    assert (
        "there is no slot 2: there are 2" in act(server, 2, "erase", status=400)["error"]["message"]
    )
    for slot, action in (("0", "jump"), ("x", "erase"), ("-1", "erase")):
        act(server, slot, action, status=400)
    assert 400 == call(server, "POST", "/slots/0")[0]
    with serve(chat, "-t", "1") as other:
        assert "--slot-save-path" in act(other, 0, "erase", status=501)["error"]["message"]


def test_what_was_not_saved_here_is_not_loaded(
    server: Served, folder: Path, chat: Program, tmp_path: Path
) -> None:
    cached(server, 0)
    act(server, 0, "save", "true.bin")
    data = bytearray((folder / "true.bin").read_bytes())
    data[-200] ^= 1
    (folder / "false.bin").write_bytes(data)
    refused = act(server, 0, "restore", "false.bin", 400)["error"]["message"]
    assert "false.bin cannot be restored: it is damaged" == refused
    os.symlink("/etc/passwd", folder / "link.bin")
    act(server, 0, "restore", "link.bin", 400)

    shutil.copy(folder / "true.bin", tmp_path / "true.bin")
    flags = ("-t", "1", "--slot-save-path", str(tmp_path))
    stranger = Program(chat.path, chat.flags, {"XDG_DATA_HOME": str(tmp_path / "data")})
    with serve(stranger, *flags) as other:
        words = act(other, 0, "restore", "true.bin", 400)["error"]["message"]
        assert "was not saved by you" in words
    with serve(chat, *flags, "-c", "512", "--no-sandbox") as other:
        act(other, 0, "restore", "true.bin")
        assert cached(other, 0) > 10
    with serve(chat, *flags, "-ctk", "q8_0", "-fa", "on") as other:
        words = act(other, 0, "restore", "true.bin", 400)["error"]["message"]
        assert "the engine keeps states in another form" in words


def test_the_folder_must_be_there(chat: Program, tmp_path: Path) -> None:
    done = chat("serve", "--slot-save-path", str(tmp_path / "none"))
    assert 2 == done.code
    assert "is not a folder" in done.err
