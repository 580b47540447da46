"""Publishing a file: all of it or nothing, whatever happens on the way."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import open_files
import pytest

from runtime.errors import AppError, UsageError
from runtime.host import atomic_write
from runtime.host.atomic_write import publish, publish_all, rename_into_place, require_new


def write(target: Path, data: bytes = b"new", *, force: bool = False) -> None:
    with publish(target, force=force) as fd:
        os.write(fd, data)


def test_file_appears_complete_and_executable(tmp_path: Path) -> None:
    target = tmp_path / "chat"
    with publish(target, force=False) as fd:
        os.write(fd, b"new")
        assert not target.exists()

    assert b"new" == target.read_bytes()
    assert 0o755 == stat.S_IMODE(target.stat().st_mode)
    assert ["chat"] == os.listdir(tmp_path)


def test_existing_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    target = tmp_path / "chat"
    target.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists already") as caught:
        write(target)
    assert "pass --force to replace it, or another name with -o" == caught.value.hint
    assert b"precious" == target.read_bytes()

    write(target, force=True)
    assert b"new" == target.read_bytes()
    assert ["chat"] == os.listdir(tmp_path)


def test_running_program_can_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / "chat"
    target.write_bytes(b"old")
    with open(target, "rb") as old:
        write(target, force=True)
        assert b"old" == old.read()


def test_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "chat"
    with pytest.raises(UsageError, match="exists already"), publish(target, force=False) as fd:
        os.write(fd, b"new")
        target.write_bytes(b"precious")

    assert b"precious" == target.read_bytes()
    assert ["chat"] == os.listdir(tmp_path)


@pytest.mark.parametrize("code", ["EPERM", "EACCES", "ENOSYS", "EOPNOTSUPP", "EMLINK"])
def test_a_file_system_without_links_takes_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    number = getattr(errno, code)

    def refuse(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(source), None, str(target))

    monkeypatch.setattr(os, "link", refuse)
    draft, target = tmp_path / "draft", tmp_path / "chat"
    draft.write_text("new")
    rename_into_place(draft, target, force=False)
    assert "new" == target.read_text()

    draft.write_text("newer")
    with pytest.raises(FileExistsError):
        rename_into_place(draft, target, force=False)
    assert "new" == target.read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
@pytest.mark.parametrize("force", [True, False])
def test_interrupted_write_leaves_nothing(
    tmp_path: Path, error: type[BaseException], force: bool
) -> None:
    target = tmp_path / "chat"
    if force:
        target.write_bytes(b"precious")
    with pytest.raises(error), publish(target, force=force) as fd:
        os.write(fd, b"half")
        raise error

    assert (["chat"] if force else []) == os.listdir(tmp_path)
    assert not force or b"precious" == target.read_bytes()


@pytest.mark.usefixtures("hangup_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), publish(tmp_path / "chat", force=False) as fd:
        os.write(fd, b"half")
        signal.raise_signal(number)

    assert [] == os.listdir(tmp_path)
    assert before == signal.getsignal(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with publish(tmp_path / "chat", force=False) as fd:
            os.write(fd, b"whole")
            signal.raise_signal(number)
        assert signal.SIG_IGN == signal.getsignal(number)
    finally:
        signal.signal(number, before)

    assert b"whole" == (tmp_path / "chat").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_process_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    if not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no files without a name")
    target = tmp_path / "chat"
    target.write_bytes(b"precious")
    code = (
        "import os, pathlib, sys, time; from runtime.host.atomic_write import publish\n"
        "with publish(pathlib.Path(sys.argv[1]), force=True) as fd:\n"
        "    os.write(fd, b'half'); print('writing', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, target], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert b"writing\n" == process.stdout.readline()
        process.send_signal(number)
        process.wait()

    assert ["chat"] == os.listdir(tmp_path)
    assert b"precious" == target.read_bytes()


def test_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "chat").symlink_to("elsewhere")
    with pytest.raises(UsageError, match="exists already"):
        write(tmp_path / "chat")
    write(tmp_path / "chat", force=True)

    assert ["chat"] == os.listdir(tmp_path)
    assert not (tmp_path / "chat").is_symlink()


@pytest.mark.parametrize("length", [243, 255])
def test_longest_name_that_the_file_system_takes(tmp_path: Path, length: int) -> None:
    write(tmp_path / ("x" * length))

    assert ["x" * length] == os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("missing/chat", "that folder does not exist: create it, or choose another with -o"),
        ("file/chat", ""),
        ("x" * 300, ""),
    ],
    ids=["missing", "file", "long"],
)
def test_target_that_cannot_be(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AppError, match="cannot be written") as caught:
        write(tmp_path / name)

    assert hint in caught.value.hint
    assert ["file"] == os.listdir(tmp_path)


def test_folder_is_no_target(tmp_path: Path) -> None:
    for force in (True, False):
        with pytest.raises(UsageError, match="is a folder"):
            require_new(tmp_path, force)


def test_failure_in_mid_write_is_explained(tmp_path: Path) -> None:
    # A limit on file sizes stands in for a full disk: both fail in the middle of a write.
    code = (
        "import os, pathlib, resource, signal, sys; from runtime.host.atomic_write import publish\n"
        "from runtime.errors import AppError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with publish(pathlib.Path('chat'), force=False) as fd:\n"
        "        while True: os.write(fd, bytes(100))\n"
        "except AppError as exc: print(exc.render())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )

    assert "error: chat cannot be written: File too large" in done.stdout
    assert "cannot hold so large a file" in done.stdout
    assert [] == os.listdir(tmp_path)


def test_a_failure_elsewhere_does_not_blame_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, publish(tmp_path / "chat", force=False):
        subprocess.run([tmp_path / "missing"], check=True)

    assert str(tmp_path / "missing") == str(caught.value.filename)
    assert [] == os.listdir(tmp_path)


def write_both(folder: Path, *, force: bool = False) -> None:
    modes = {folder / "chat.payload": 0o644, folder / "chat": 0o755}
    with publish_all(modes, force=force) as files:
        for fd in files:
            os.write(fd, b"new")


def test_two_files_appear_together(tmp_path: Path) -> None:
    write_both(tmp_path)

    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {"chat": 0o755, "chat.payload": 0o644} == found


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.EIO, "Input/output error")])
@pytest.mark.parametrize("force", [True, False])
def test_no_file_is_named_before_all_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, force: bool
) -> None:
    """The old program would lie beside a payload that is not its own."""
    real, calls = os.fsync, []

    def failing(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 2:
            raise error
        real(fd)

    monkeypatch.setattr(os, "fsync", failing)
    if force:
        for name in ("chat", "chat.payload"):
            (tmp_path / name).write_bytes(b"precious")
    with pytest.raises((KeyboardInterrupt, AppError)):
        write_both(tmp_path, force=force)

    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == ({"chat": b"precious", "chat.payload": b"precious"} if force else {})


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.EIO, "Input/output error")])
def test_where_the_last_name_is_not_to_be_had_the_others_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    real = atomic_write.rename_into_place

    def failing(temporary: Path, target: Path, force: bool) -> None:
        if target.name == "chat":
            raise error
        real(temporary, target, force)

    monkeypatch.setattr(atomic_write, "rename_into_place", failing)
    with pytest.raises((KeyboardInterrupt, AppError)):
        write_both(tmp_path)
    assert [] == os.listdir(tmp_path)


def test_a_name_that_is_taken_meanwhile_leaves_only_that(tmp_path: Path) -> None:
    modes = {tmp_path / "chat.payload": 0o644, tmp_path / "chat": 0o755}
    with pytest.raises(UsageError, match="chat exists already"), publish_all(modes, force=False):
        (tmp_path / "chat").write_bytes(b"precious")

    assert ["chat"] == os.listdir(tmp_path)
    assert b"precious" == (tmp_path / "chat").read_bytes()


def test_nothing_stays_open(tmp_path: Path) -> None:
    with open_files.none_left():
        write(tmp_path / "chat")
        with pytest.raises(RuntimeError), publish(tmp_path / "other", force=False):
            raise RuntimeError
