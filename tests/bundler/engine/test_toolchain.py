"""What is compiled is kept whole or not at all, and what goes wrong is said without a traceback."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from bundler.engine import toolchain, wheels
from bundler.stub import third_party

PINS = dict(
    requirement.partition(";")[0].split("==")
    for requirement in importlib.metadata.requires("modelembed") or []
    if "==" in requirement.partition(";")[0]
    and ("extra ==" not in requirement or "build" in requirement.partition(";")[2])
)


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    made = []

    def make(staged: Path) -> None:
        (staged / "wheel").write_text("one")
        made.append(staged)

    for _ in range(2):
        folder = toolchain.kept(tmp_path / "a" / "b", make)

    assert "one" == (folder / "wheel").read_text()
    assert 1 == len(made)
    assert [folder] == list((tmp_path / "a").iterdir())


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "full")])
def test_what_fails_leaves_nothing(tmp_path: Path, failure: BaseException) -> None:
    def make(staged: Path) -> None:
        (staged / "half").write_text("of it")
        raise failure

    with pytest.raises((KeyboardInterrupt, OSError)):
        toolchain.kept(tmp_path / "a" / "b", make)

    assert [] == list((tmp_path / "a").iterdir())


def test_who_comes_second_takes_what_the_first_made(tmp_path: Path) -> None:
    def make(staged: Path) -> None:
        (staged / "wheel").write_text("second")
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "wheel").write_text("first")

    assert "first" == (toolchain.kept(tmp_path / "b", make) / "wheel").read_text()
    assert [tmp_path / "b"] == list(tmp_path.iterdir())


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bundler.engine", *arguments], cwd=ROOT, capture_output=True,
        text=True, check=False, env={**os.environ, **variables}, timeout=60,
    )  # fmt: skip


def test_a_cache_that_cannot_be_written_is_said() -> None:
    done = run("--compiler", "zig", XDG_CACHE_HOME="/dev/null/there")

    assert (1, "") == (done.returncode, done.stdout)
    assert "/dev/null/there" in done.stderr
    assert "XDG_CACHE_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_compiler_is_said(tmp_path: Path) -> None:
    done = run("--compiler", "gcc", PATH=str(tmp_path))

    assert 1 == done.returncode
    assert done.stderr.startswith("error: no gcc and g++ on this machine")


INTERRUPTED = """
import os, signal, sys
from bundler.engine import __main__ as engine
engine.find = lambda *_: os.kill(os.getpid(), signal.SIGINT)
sys.exit(engine.main())
"""


def test_ctrl_c_is_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=60, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip

    assert 130 == done.returncode
    assert done.stderr.startswith("\ninterrupted; ")
    assert "Traceback" not in done.stderr


def test_what_is_compiled_has_the_version_that_is_installed() -> None:
    assert PINS["llama-cpp-python"] == wheels.VERSION
    assert PINS["zstandard"] == wheels.ZSTANDARD


def test_what_is_in_every_stub_is_pinned() -> None:
    names = {name.replace("_", "-") for name in third_party.DISTRIBUTIONS}

    assert {"modelembed"} == names - set(PINS)
