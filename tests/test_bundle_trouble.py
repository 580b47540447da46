"""What can be in the way of bundling, and is no fault of the model: said so, and what to do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import DEMO, Program

from bundler import stub as stubs

QUICK = ("--compress", "none", "--no-check")
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
BLAMED = ("refuses", "crashes", "convert the model", "modelembed stub --force", "Traceback")
"""What would send the user after something that is all right."""


@pytest.fixture
def bundling(modelembed: Program, stub: Path, clean_home: Path) -> Program:
    """Return the bundler's command line with nothing remembered but the runtime."""
    return Program(modelembed.path, environment={"STUB": str(stub)})


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system of its own here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_no_place_for_what_is_kept(bundling: Program, tmp_path: Path) -> None:
    for words in (("stub",), ("bundle", str(DEMO), "-o", str(tmp_path / "x"))):
        done = bundling(*words, XDG_CACHE_HOME="/proc/nope")

        assert done.code == 1
        assert "/proc/nope/modelembed" in done.err
        assert "XDG_CACHE_HOME=" in done.err.partition("hint: ")[2]
        assert "Traceback" not in done.err


def test_a_runtime_is_built_anew_for_other_licences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stubs._identity([])
    shutil.copytree(stubs.LICENSES, tmp_path / "licenses")
    monkeypatch.setattr(stubs, "LICENSES", tmp_path / "licenses")
    assert before == stubs._identity([])
    with open(tmp_path / "licenses" / "new.txt", "w") as file:
        file.write("new: MIT\n\nOther words.\n")
    assert before != (changed := stubs._identity([]))

    monkeypatch.setattr(stubs, "_license_files", lambda distribution: [])
    assert changed != stubs._identity([])  # the project's own counts, too
