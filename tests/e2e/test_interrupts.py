"""Ctrl-C while a model is being loaded: the program ends, at once and without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import ggufs
import pexpect
import pytest
from program import Program, is_writing
from servers import serve

from runtime.host import interrupts
from runtime.host.interrupts import interrupts_deferred, on_interrupt

# The engine's log is written by a callback: a Ctrl-C that comes just then must not be lost there.
LOAD = """
import io, os, signal, sys
from pathlib import Path
from runtime.host import interrupts
from runtime.model.model_file import open_file
from runtime.options.registry import Options
from runtime.dialogue.loaded_model import LoadedModel

class Pressing(io.StringIO):
    pressed = False

    def write(self, text):
        if not self.pressed and SAID in text:
            self.pressed = True
            os.kill(os.getpid(), signal.SIGINT)
        return len(text)

interrupts.raise_on_first_interrupt()
sys.stderr = Pressing()
try:
    LoadedModel(open_file(Path(sys.argv[1])), Options(verbose=True), lambda _: None)
except KeyboardInterrupt:
    print("interrupted", sys.stderr.pressed)
"""


@pytest.mark.parametrize("said", ["load_tensors", "llama_context"])
@pytest.mark.parametrize("form", ["stored", "zstd"])
def test_ctrl_c_within_a_callback_is_not_lost(forms: dict[str, Path], form: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD.replace("SAID", repr(said)), forms[form]],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert ("interrupted True\n", "") == (done.stdout, done.stderr)


def test_ctrl_c_at_any_moment_of_the_loading_ends_it(forms: dict[str, Path]) -> None:
    for number in range(8):
        child = pexpect.spawn(
            str(forms["zstd"]),
            ["-v", "-t", "1", "-p", "Tell me a story.", "--ignore-eos", "-n", "100000"],
            encoding="utf-8", codec_errors="replace", timeout=30,
        )  # fmt: skip
        child.expect("llama_model_loader")
        time.sleep(number / 100)
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()

        assert "Traceback" not in child.before
        assert "ignored" not in child.before
        assert 130 == child.exitstatus


def deaf(program: Path, name: str, folder: Path) -> Program:
    """Return `program` started as a shell's background job is, or by nohup."""
    path = folder / "deaf"
    path.write_text(f'#!/bin/sh\ntrap "" {name}\nexec "{program}" "$@"\n')
    path.chmod(0o755)
    return Program(path)


def test_a_background_job_ignores_ctrl_c(forms: dict[str, Path], tmp_path: Path) -> None:
    words = ("-t", "1", "-p", "Tell me a story.", "--ignore-eos", "-n", "300", "-v")
    with subprocess.Popen(
        [deaf(forms["zstd"], "INT", tmp_path).path, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for sign in ("llama_model_loader", "llama_context"):  # while it loads, then later
            assert any(sign in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
        assert len(process.communicate()[0]) > 300

    assert 0 == process.returncode


def test_a_server_in_the_background_ignores_ctrl_c(forms: dict[str, Path], tmp_path: Path) -> None:
    for flags in ((), ("--workers", "2")):
        with serve(deaf(forms["stored"], "INT", tmp_path), "-t", "1", *flags) as server:
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            with urllib.request.urlopen(f"{server.url}/health", timeout=30) as answer:
                assert 200 == answer.status
            assert 0 == server.stop()


def test_the_bundler_minds_no_hang_up_under_nohup(
    modelembed: Program, stub: Path, tmp_path: Path
) -> None:
    model = Path(ggufs.write_model(tmp_path / "m.gguf"))
    with open(model, "ab") as file:
        for _ in range(8):
            file.write(os.urandom(8 << 20))  # enough to be met in the middle
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "chat"
    words = ("bundle", model, "-o", target, "--compress", "max", "--no-check", "--stub", stub)
    with subprocess.Popen([deaf(modelembed.path, "HUP", tmp_path).path, *words]) as process:
        writing = is_writing(process, folder)
        process.send_signal(signal.SIGHUP)

    assert writing
    assert 0 == process.returncode
    assert target.exists()


def test_a_deferred_interrupt_is_delivered_once() -> None:
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(True))
    try:
        with interrupts_deferred() as deferral:
            assert not deferral.pending
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            assert deferral.pending
            assert not heard
        assert [True] == heard
        with interrupts_deferred() as deferral:
            assert not deferral.pending
        assert [True] == heard
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_failure_gives_way_to_a_deferred_interrupt() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            raise OSError
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_double_of_a_ctrl_c_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "DOUBLE_SECONDS", 60.0)
    # The launcher forwards what the terminal has sent: that may come when the answer has stopped.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    heard: list[bool] = []
    try:
        with on_interrupt(lambda: heard.append(True)):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert [True] == heard

        monkeypatch.setattr(interrupts, "DOUBLE_SECONDS", 0.0)  # that time is over
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with on_interrupt(lambda: None):  # in which nothing comes
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
