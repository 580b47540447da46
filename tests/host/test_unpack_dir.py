"""Sweeping up the folders of runs that were killed, and no others."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.host import abandoned_dirs, unpack_dir
from runtime.host.abandoned_dirs import REMOVING_SECONDS, UNPACKING_SECONDS
from runtime.host.unpack_dir import MARKER, SEALED_MODE

OLD = time.time() - UNPACKING_SECONDS - 60


def dead_number() -> int:
    """Return the number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def planted(
    parent: Path,
    number: int,
    *,
    mark: bool = True,
    sealed: bool = False,
    modified: float = OLD,
    letters: str = "aB3xYz",
) -> Path:
    """Make a folder as the launcher with this process number would; `sealed`: its program ran."""
    folder = parent / f"_MEI{number:08x}{letters}"
    folder.mkdir(mode=SEALED_MODE if sealed else 0o700)
    (folder / "lib").mkdir()
    for path in (folder / "library.so", folder / "lib" / "other.so"):
        path.write_bytes(bytes(1000))
    if mark:
        (folder / MARKER).write_text("")
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (modified, modified))
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return planted(tmp_path, os.getpid(), letters="ownown")


def test_folder_of_a_killed_run_is_removed(tmp_path: Path, own: Path) -> None:
    dead = planted(tmp_path, dead_number())

    assert [dead] == abandoned_dirs.sweep(own)
    assert [own.name] == os.listdir(tmp_path)


def test_folder_of_a_run_just_killed_is_removed(tmp_path: Path, own: Path) -> None:
    modified = time.time() - REMOVING_SECONDS - 1
    dead = planted(tmp_path, dead_number(), sealed=True, modified=modified)

    assert [dead] == abandoned_dirs.sweep(own)


def test_folder_whose_removal_was_cut_off_is_removed(tmp_path: Path, own: Path) -> None:
    dead = planted(tmp_path, dead_number(), mark=False, sealed=True)

    assert [dead] == abandoned_dirs.sweep(own)


def test_folder_whose_sweeping_was_cut_off_is_removed(
    tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = planted(tmp_path, dead_number())  # it never came to run
    with monkeypatch.context() as patched:
        patched.setattr(abandoned_dirs.shutil, "rmtree", lambda path, **_: (path / MARKER).unlink())
        abandoned_dirs.sweep(own)
    os.utime(dead, (OLD, OLD))

    assert [dead] == abandoned_dirs.sweep(own)


@pytest.mark.parametrize("sealed", [True, False])
def test_folder_that_a_process_holds_is_kept(tmp_path: Path, own: Path, sealed: bool) -> None:
    # In another container the launcher's number means nothing here, but the lock holds, and
    # even if the mark was taken away by something that cleans the temporary folder.
    living = planted(tmp_path, dead_number(), sealed=sealed, mark=not sealed)
    lock = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)

        assert [] == abandoned_dirs.sweep(own)
        assert living.is_dir()
    finally:
        os.close(lock)
    assert [living] == abandoned_dirs.sweep(own)


def test_folder_that_a_launcher_in_a_container_unpacks_is_kept(tmp_path: Path, own: Path) -> None:
    # It has no number here, and what it writes below leaves the folder's own time as it was.
    young = planted(tmp_path, dead_number())
    (young / "lib" / "other.so").write_bytes(bytes(2000))

    assert [] == abandoned_dirs.sweep(own)
    assert young.is_dir()


@pytest.mark.parametrize("age", [0, 60])
def test_folder_that_is_being_unpacked_is_kept(tmp_path: Path, own: Path, age: int) -> None:
    young = planted(tmp_path, os.getppid(), modified=time.time() - age)

    assert [] == abandoned_dirs.sweep(own)
    assert young.is_dir()


def test_folder_of_the_very_second_is_kept(tmp_path: Path, own: Path) -> None:
    planted(tmp_path, dead_number(), sealed=True, modified=time.time())

    assert [] == abandoned_dirs.sweep(own)


def test_own_folder_is_kept(own: Path) -> None:
    assert [] == abandoned_dirs.sweep(own)
    assert own.is_dir()


def test_foreign_folders_are_kept(tmp_path: Path, own: Path) -> None:
    number = dead_number()
    planted(tmp_path, number, mark=False)  # of another program made with PyInstaller
    (tmp_path / "_MEIPASS-notes").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / f"_MEI{number:08x}abcdef.txt").write_text("")
    before = sorted(os.listdir(tmp_path))

    assert [] == abandoned_dirs.sweep(own)
    assert before == sorted(os.listdir(tmp_path))


def test_link_is_not_followed(tmp_path: Path, own: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / MARKER).write_text("")
    os.utime(elsewhere, (OLD, OLD))
    link = tmp_path / f"_MEI{dead_number():08x}abcdef"
    link.symlink_to(elsewhere)
    os.utime(link, (OLD, OLD), follow_symlinks=False)

    assert [] == abandoned_dirs.sweep(own)
    assert (elsewhere / MARKER).exists()


def test_mark_that_is_a_link_is_not_trusted(tmp_path: Path, own: Path) -> None:
    folder = planted(tmp_path, dead_number(), mark=False)
    (folder / MARKER).symlink_to(tmp_path / "anything")
    os.utime(folder / MARKER, (OLD, OLD), follow_symlinks=False)
    os.utime(folder, (OLD, OLD))

    assert [] == abandoned_dirs.sweep(own)


def test_settling_makes_the_path_absolute_and_holds_the_lock(tmp_path: Path, own: Path) -> None:
    dead = planted(tmp_path, dead_number())
    code = (
        "import os, sys; from runtime.host import abandoned_dirs, unpack_dir\n"
        "sys._MEIPASS = sys.argv[1]; abandoned_dirs.sweep(unpack_dir.lock()); os.chdir('/')\n"
        "print(sys._MEIPASS, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, own.name],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert f"{own}\n" == process.stdout.readline()
        assert not dead.exists()
        lock = os.open(own, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(lock)
        assert SEALED_MODE == stat.S_IMODE(own.stat().st_mode)
        process.communicate("")


def test_program_that_is_not_frozen_settles_nothing() -> None:
    assert unpack_dir.lock() is None
    assert not hasattr(sys, "_MEIPASS")
