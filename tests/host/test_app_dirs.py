"""Where things are kept for a user: as XDG says, and never where the program happens to run."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Program

from runtime.host import app_dirs

STRANGER = 54_321


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the temporary folder of a user without a home."""

    def unknown(_: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    app_dirs._fallback_dir.cache_clear()
    yield tmp_path
    app_dirs._fallback_dir.cache_clear()


def test_the_user_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert tmp_path / "elsewhere" / "modelembed" == app_dirs.cache()

    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert tmp_path / ".cache" / "modelembed" == app_dirs.cache()


def test_without_a_home_there_is_a_private_folder(homeless: Path) -> None:
    own = homeless / f"modelembed-{os.getuid()}"

    assert own / "modelembed" == app_dirs.cache() == app_dirs.data()
    assert 0o700 == stat.S_IMODE(own.stat().st_mode)


@pytest.mark.parametrize("trap", ["link", "open"])
def test_a_folder_that_others_may_write_to_is_not_used(homeless: Path, trap: str) -> None:
    own = homeless / f"modelembed-{os.getuid()}"
    (homeless / "other").mkdir(mode=0o700)
    if trap == "link":
        own.symlink_to("other")
    else:
        own.mkdir()
        own.chmod(0o777)
    found = app_dirs.cache().parent

    assert found.parent == homeless
    assert found not in (own, homeless / "other")
    assert 0o700 == stat.S_IMODE(found.stat().st_mode)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_nothing_is_left_where_a_stranger_runs_the_program(chat: Program) -> None:
    with tempfile.TemporaryDirectory() as name:
        here, temporary = Path(name, "here"), Path(name, "tmp")
        for folder in (Path(name), here, temporary):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
        done = subprocess.run(
            [shutil.copy(chat.path, name), "-n", "3", "hi"],
            capture_output=True, text=True, check=False, user=STRANGER, group=STRANGER,
            extra_groups=(), stdin=subprocess.DEVNULL, cwd=here,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(temporary)},
        )  # fmt: skip

        assert (0, "") == (done.returncode, done.stderr)
        assert [] == os.listdir(here)
        assert [f"modelembed-{STRANGER}"] == os.listdir(temporary)
