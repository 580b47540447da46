"""What must be on the machine is looked for by a script that older Pythons can run as well."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

SCRIPT = ROOT / "tools" / "prerequisites.py"
OLD = [
    path
    for minor in (6, 7, 8, 9)
    for folder in ("/usr/bin", "/usr/local/bin", f"{Path.home()}/.pyenv/versions/3.{minor}*/bin")
    for path in glob.glob(f"{folder}/python3.{minor}")
]


def run(python: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(SCRIPT)], capture_output=True, text=True, check=False,
        env={**os.environ, **variables},
    )  # fmt: skip


def test_nothing_is_missing_where_this_runs() -> None:
    assert 0 == run(sys.executable).returncode


def test_the_script_needs_no_newer_python() -> None:
    source = SCRIPT.read_text()
    assert "from __future__ import annotations" not in source  # unknown to Python 3.6
    assert ":=" not in source


@pytest.mark.skipif(not OLD, reason="there is no older Python here")
@pytest.mark.parametrize("python", OLD)
def test_an_older_python_is_told(python: str, tmp_path: Path) -> None:
    done = run(python, PATH=str(tmp_path))
    assert 1 == done.returncode
    assert done.stderr.startswith("error: Python 3.10 or newer is needed; this is 3.")
    assert "apt-get" not in done.stderr
    assert "make PYTHON=python3.12" in done.stderr

    (tmp_path / "python3.11").symlink_to(sys.executable)
    assert (
        "hint: there is a newer one: make PYTHON=python3.11"
        in run(python, PATH=str(tmp_path)).stderr
    )
