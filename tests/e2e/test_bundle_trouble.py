"""What can be in the way of bundling, and is no fault of the model: said so, and what to do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paths import DEMO
from program import Program

from bundler import run_program
from bundler.model import lint
from bundler.packing import prewarm
from bundler.stub import builder as stubs
from bundler.stub import third_party
from bundler.temp_files import temporary_file
from runtime import bounds
from runtime.errors import AppError, GGUFError

QUICK = ("--compress", "none", "--no-check")
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def bundling(modelembed: Program, stub: Path, clean_home: Path) -> Program:
    """Return the bundler's command line with nothing remembered but the runtime."""
    return Program(modelembed.path, environment={"STUB": str(stub)})


@pytest.mark.parametrize(
    "flags, code, told",
    [
        (("--docs", "nosuch"), 2, "nosuch cannot be read: No such file or directory"),
        (("--docs", str(DEMO)), 2, "demo.gguf is a file"),
        (("--docs", ""), 2, "it is empty"),
        (("-o", "nosuch/chat"), 1, "that folder does not exist"),
        (("-o", f"{DEMO}/chat"), 1, "cannot be written: Not a directory"),
    ],
)
def test_a_wrong_path_is_told_before_a_runtime_is_compiled(
    modelembed: Program, clean_home: Path, flags: tuple[str, ...], code: int, told: str
) -> None:
    environment = {"XDG_CACHE_HOME": str(clean_home / "cache")}
    done = Program(modelembed.path, environment=environment)("bundle", str(DEMO), *flags)

    assert code == done.code
    assert told in done.err
    assert "compiling" not in done.err
    assert not (clean_home / "cache").exists()


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


@pytest.mark.parametrize("options", ["size=20m", "size=300m,noexec"])
def test_a_temporary_folder_that_does_not_do_is_passed_by(
    bundling: Program, stub: Path, tmp_path: Path, options: str
) -> None:
    with mounted(tmp_path / "temporary", options) as folder:
        done = bundling(
            "bundle", str(DEMO), "-o", str(tmp_path / "x"), "--stub", str(stub), *QUICK,
            TMPDIR=str(folder),
        )  # fmt: skip

    assert (0, True) == (done.code, (tmp_path / "x").exists()), done.err


def test_a_folder_where_nothing_may_be_run(bundling: Program, stub: Path, tmp_path: Path) -> None:
    """As a USB stick often is: the file is all right, and stays."""
    with mounted(tmp_path / "stick", "size=300m,noexec") as folder:
        target = folder / "chat"
        done = bundling("bundle", str(DEMO), "-o", str(target), "--stub", str(stub))
        assert target.exists()

    assert done.code == 1
    assert "was written, but not tested" in done.err
    assert "mounted noexec" in done.err
    assert "--no-check" in done.err
    assert "platform" not in done.err


def test_no_temporary_folder_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/gone"])
    with pytest.raises(AppError, match="the temporary folder cannot be used: No usable") as caught:
        temporary_file()

    assert "TMPDIR=" in caught.value.hint


def test_a_stub_beside_the_user(bundling: Program, stub: Path, tmp_path: Path) -> None:
    shutil.copy(stub, tmp_path / "stub")
    command = [bundling.path, "bundle", DEMO, "--stub", "stub", "-o", "my chat", *QUICK]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "run it: './my chat'\n" in done.stderr

    (tmp_path / "stub").chmod(0o644)
    refused = bundling(
        "bundle", str(DEMO), "-o", str(tmp_path / "y"), "--stub", str(tmp_path / "stub"), *QUICK
    )
    assert refused.code == 1
    assert "stub cannot be run: it is not marked as executable" in refused.err
    assert "hint: chmod +x " in refused.err
    assert not (tmp_path / "y").exists()


def test_a_template_that_never_ends(
    stub: Path, clean_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lint, "QUESTION_SECONDS", 4)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(AppError, match="has not got through") as caught:
        lint.ask_engine(stub, lint.preflight(DEMO), ENDLESS)

    assert "the template may never end" in caught.value.hint
    assert list(tmp_path.glob("_MEI*")) == []  # it was ended, not only left alone


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (signal.SIGXCPU, "the chat template does not end"),
        (signal.SIGABRT, "the chat template crashes the engine"),
    ],
)
def test_who_ended_a_probe_is_understood(tmp_path: Path, number: signal.Signals, why: str) -> None:
    """A template reaches the limits of time and memory where the engine's own do not hold."""
    said = '{"error": "", "template": "own"}'
    ended = program(tmp_path / "ended", f"echo '{said}'; kill -{int(number)} $$")
    with pytest.raises(GGUFError, match=why):
        lint.ask_engine(ended, lint.preflight(DEMO), str(tmp_path))


def test_a_probe_limits_itself() -> None:
    code = (
        "from resource import RLIMIT_CPU, RLIMIT_DATA, getrlimit\n"
        "from runtime.commands import model_probe\n"
        "model_probe._limit_resources()\n"
        "print(getrlimit(RLIMIT_CPU)[0], getrlimit(RLIMIT_DATA)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, size = map(int, done.stdout.split())

    assert bounds.PROBE_SECONDS <= seconds <= bounds.PROBE_SECONDS + 5  # and what it took to start
    assert size == bounds.PROBE_BYTES


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_who_ended_a_program(tmp_path: Path, number: signal.Signals) -> None:
    ended = program(tmp_path / "ended", f"kill -{int(number)} $$")
    if number == signal.SIGSEGV:
        assert run_program.run(ended, [], seconds=60).crashed
        return
    with pytest.raises(AppError, match=r"ended by the system \(SIGKILL\)") as caught:
        run_program.run(ended, [], seconds=60)
    assert "memory" in caught.value.hint


def program(path: Path, script: str) -> Path:
    """Write a shell script that stands in for a runtime."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_program_is_followed_line_by_line(tmp_path: Path) -> None:
    script = "read given; echo 1 2; echo $given; echo a warning >&2; exit 3"
    lines: list[str] = []
    done = run_program.follow(
        program(tmp_path / "talks", script), [], given="so\n", files=(), on_line=lines.append
    )

    assert ["1 2\n", "so\n"] == lines
    assert (3, "a warning") == (done.code, done.err)


def test_a_program_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_program, "ENDING_SECONDS", 1)
    deaf = program(tmp_path / "deaf", "trap '' TERM; echo $$; while :; do sleep 0.1; done")
    heard: list[int] = []

    def on_line(line: str) -> None:
        heard.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_program.follow(deaf, [], given="", files=(), on_line=on_line)
    with pytest.raises(ProcessLookupError):
        os.kill(heard[0], 0)


def test_what_else_is_printed_while_prewarming_is_no_progress(tmp_path: Path) -> None:
    """Nor is it a bug of the bundler's."""
    chatty = program(tmp_path / "chatty", "cat >/dev/null; echo a library has something to say")
    with open(tmp_path / "out", "wb") as out:
        prewarm._run(chatty, out.fileno(), out.fileno(), {}, lambda _: None)


def test_interrupted_while_it_is_tested(bundling: Program, stub: Path, tmp_path: Path) -> None:
    target = tmp_path / "chat"
    with subprocess.Popen(
        [bundling.path, "bundle", DEMO, "-o", target, "--stub", stub, "--compress", "none"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr
        for line in process.stderr:
            if line.startswith("wrote"):
                break
        os.killpg(process.pid, signal.SIGINT)
        error = process.stderr.read()

    assert process.returncode == 130
    assert f"interrupted; {target} is complete, but was not tested" in error
    assert "nothing was left behind" not in error
    assert target.exists()


@pytest.mark.parametrize("model", [".", "x" * 300, str(DEMO.parent)], ids=["here", "long", "dir"])
def test_a_model_that_cannot_be_one(bundling: Program, tmp_path: Path, model: str) -> None:
    done = subprocess.run(
        [bundling.path, "bundle", model], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    what = "cannot be read: File name too long" if len(model) > 255 else "is a folder"
    assert f"{model} {what}" in done.stderr
    assert "Traceback" not in done.stderr


def test_names_that_are_too_long(bundling: Program, stub: Path, tmp_path: Path) -> None:
    given = ("bundle", str(DEMO), "--stub", str(stub), *QUICK)
    target = bundling(*given, "-o", str(tmp_path / ("x" * 300)))
    assert target.code == 1
    assert "cannot be written: File name too long" in target.err

    template = bundling(*given, "-o", str(tmp_path / "x"), "--chat-template", "x" * 300)
    assert template.code == 2
    assert "there is no chat template called" in template.err
    assert "Traceback" not in target.err + template.err


def test_folders_that_may_not_be_entered(bundling: Program, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    shutil.copy(DEMO, private / "demo.gguf")
    private.chmod(0)
    command: list[str | Path] = [bundling.path, "bundle"]
    if os.getuid() == 0:  # whom permissions do not stop, unless that is taken away
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    for words in ((DEMO, "-o", private / "x"), (private / "demo.gguf",)):
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)

        assert done.returncode == 1
        assert f"error: {words[-1]} cannot be " in done.stderr
        assert "Permission denied\n\nhint: " in done.stderr
        assert "Traceback" not in done.stderr


def test_no_place_for_what_is_kept(bundling: Program, tmp_path: Path) -> None:
    for words in (("stub",), ("bundle", str(DEMO), "-o", str(tmp_path / "x"))):
        done = bundling(*words, XDG_CACHE_HOME="/proc/nope")

        assert done.code == 1
        assert "/proc/nope/modelembed" in done.err
        assert "XDG_CACHE_HOME=" in done.err.partition("hint: ")[2]
        assert "Traceback" not in done.err


def test_a_folder_that_was_deleted(bundling: Program, stub: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", 'rmdir "$0"; exec "$@"', gone, bundling.path, "bundle", DEMO, "-o", "x",
         "--stub", stub, *QUICK],
        cwd=gone, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "does not exist any more" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_runtime_is_built_anew_for_other_licences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stubs._identity([])
    shutil.copytree(third_party.TEXTS, tmp_path / "licenses")
    monkeypatch.setattr(third_party, "TEXTS", tmp_path / "licenses")
    assert before == stubs._identity([])
    with open(tmp_path / "licenses" / "new.txt", "w") as file:
        file.write("new: MIT\n\nOther words.\n")
    assert before != (changed := stubs._identity([]))

    monkeypatch.setattr(third_party, "own_texts", lambda: [])
    assert changed != stubs._identity([])  # the project's own counts, too


@pytest.mark.usefixtures("stub")
def test_use_of_a_stub_does_not_change_it() -> None:
    # What the engine said of a model is remembered for as long as the stub does not change.
    cached = stubs.build(lambda _: None)
    before = cached.stat()
    assert cached == stubs.build(lambda _: None)
    assert before.st_ctime_ns == cached.stat().st_ctime_ns
