"""Child processes in which something is tried that may fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.model import probing


def test_what_a_child_writes_is_returned() -> None:
    assert ("", b"word") == probing.in_child(lambda out: out.write(b"word"), 60)


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (lambda _: 1 // 0, "it failed"),
        (lambda _: os._exit(0), "it ended the process with exit code 0"),
        (lambda _: os._exit(7), "it ended the process with exit code 7"),
        (lambda _: os.kill(os.getpid(), signal.SIGUSR1), "it died with SIGUSR1"),
        (lambda _: time.sleep(60), "it took longer than 1 seconds"),
    ],
)
def test_how_a_child_fails_is_told(work: object, told: str) -> None:
    assert told == probing.in_child(work, 1)[0]  # type: ignore[arg-type]


def test_no_folder_for_temporary_files_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    assert ("", b"word") == probing.in_child(lambda out: out.write(b"word"), 60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_child_does_not_outlive_who_waits_for_it(tmp_path: Path, number: int) -> None:
    """However that ends, and though a library in the child does not hear of it."""
    file = tmp_path / "child"
    code = (
        "import os, pathlib, signal, sys, time\n"
        "from runtime.model import probing\n"
        "def work(out):\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "    part = pathlib.Path(sys.argv[1] + '.part')\n"
        "    part.write_text(str(os.getpid()))\n"
        "    part.rename(sys.argv[1])\n"
        "    time.sleep(60)\n"
        "probing.in_child(work, 60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, file], stderr=subprocess.DEVNULL) as waiting:
        end = time.monotonic() + 30
        while not file.exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        waiting.send_signal(number)
        waiting.wait(30)
    child = Path("/proc", file.read_text())
    end = time.monotonic() + 5
    while child.exists() and "Z" not in (child / "stat").read_text().split()[2]:
        assert time.monotonic() < end, "it still runs"
        time.sleep(0.02)
