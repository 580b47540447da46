"""Streams and files that cannot be used: said as what they are, never as a bug of the program."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Program

FRANCE = "What is the capital of France?"
NOBODY = 65534


def shell(chat: Program, line: str) -> subprocess.CompletedProcess[str]:
    """Run `line` with the program as $0; streams are closed and redirected as shells do it."""
    return subprocess.run(
        ["bash", "-c", line, str(chat.path)], capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", ["hi -n 3", "info", "licenses", "--help", "-i </dev/null"])
def test_a_full_disk_is_said(chat: Program, arguments: str) -> None:
    if arguments.startswith("-i"):
        arguments = "-i -n 3 <<< hi"
    done = shell(chat, f'"$0" {arguments} >/dev/full')

    assert 1 == done.returncode
    assert "what was to be printed cannot be written: No space left on device" in done.stderr
    assert "bug" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_closed_streams_are_no_bug(chat: Program) -> None:
    unasked = shell(chat, '"$0" <&-')
    assert 2 == unasked.returncode
    assert "there is no question" in unasked.stderr

    asked = shell(chat, f'"$0" "{FRANCE}" <&-')
    assert (0, "The capital of France is Paris.\n") == (asked.returncode, asked.stdout)

    unheard = shell(chat, '"$0" hi -n 3 >&-')
    assert 1 == unheard.returncode
    assert "what was to be printed cannot be written" in unheard.stderr

    silent = shell(chat, f'"$0" "{FRANCE}" --no-think 2>&-')  # the remark must not go to stdout
    assert (0, "The capital of France is Paris.\n") == (silent.returncode, silent.stdout)


def test_what_is_no_text_is_not_read_up_to_its_first_nul(chat: Program) -> None:
    done = shell(chat, 'printf "two\\0words" | "$0" -n 3 "How many words?"')

    assert (2, "") == (done.returncode, done.stdout)
    assert "what is piped in is no text: there is a NUL byte in it" in done.stderr


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """Return a folder that everybody can reach; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("option", ["--session", "--chat-template", "--report"])
def test_what_is_forbidden_is_said(chat: Program, open_to_all: Path, option: str) -> None:
    # Whoever runs the tests may be root, to whom nothing is forbidden.
    program = shutil.copy(chat.path, open_to_all)
    private = open_to_all / "private"
    private.mkdir(mode=0o700)
    done = subprocess.run(
        [program, "-n", "3", option, str(private / "x"), "hi"],
        capture_output=True, text=True, check=False, user=NOBODY, group=NOBODY,
        stdin=subprocess.DEVNULL, cwd="/", env={"HOME": "/", "PATH": os.environ["PATH"]},
    )  # fmt: skip

    assert (2, "") == (done.returncode, done.stdout)
    assert "private" in done.stderr
    assert "Permission denied" in done.stderr or "nothing may be written" in done.stderr
    assert "bug" not in done.stderr


def test_a_report_that_cannot_be_is_said_before_the_answer(chat: Program, tmp_path: Path) -> None:
    done = chat("hi", "--report", str(tmp_path / "missing" / "x.json"))

    assert (2, "") == (done.code, done.out)
    assert f"there is no folder {tmp_path / 'missing'}" in done.err
