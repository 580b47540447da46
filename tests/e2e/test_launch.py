"""Starting the program in every way and place that people do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from paths import DEMO
from program import Program

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris.\n"
MOMENTS = 25
"""At which a program is interrupted, one after the other."""


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob("_MEI*"))


def wait_for(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_through_a_symbolic_link_and_path(chat: Program, tmp_path: Path) -> None:
    link = tmp_path / "ask"
    link.symlink_to(chat.path)

    assert Program(link)(FRANCE).out == PARIS
    found = subprocess.run(
        ["ask", FRANCE], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert found.stdout == PARIS


def test_the_stub_alone_is_a_program(stub: Path) -> None:
    assert Program(stub)("-m", str(DEMO), "--temp", "0", FRANCE).out == PARIS


def test_with_a_relative_temporary_folder(chat: Program, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [chat.path, FRANCE, "--no-keep"], cwd=tmp_path,
        env={**os.environ, "TMPDIR": "temporary"},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip

    assert (0, PARIS) == (done.returncode, done.stdout)
    assert leftovers(tmp_path / "temporary") == []


def test_after_its_file_was_deleted(chat: Program, tmp_path: Path) -> None:
    """A running chat goes on, commands that it has not used before included."""
    copy = tmp_path / "chat"
    shutil.copy(chat.path, copy)
    with subprocess.Popen(
        [copy, "-i"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write(f"{FRANCE}\n")
        process.stdin.flush()
        assert process.stdout.readline() == PARIS
        copy.unlink()
        process.stdin.write(f"/regen\n/undo\n/stats\n{FRANCE}\n")
        process.stdin.close()
        rest = process.stdout.read()

    assert process.returncode == 0
    assert rest.count(PARIS) == 2


def test_eight_at_a_time(chat: Program, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    running = [
        subprocess.Popen(
            [chat.path, FRANCE, "-t", "1", "--no-keep"], env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(8)
    ]  # fmt: skip
    answers = [process.communicate(timeout=300) for process in running]

    assert [(PARIS, "")] * 8 == answers
    assert leftovers(tmp_path) == []


def test_what_killed_runs_left_is_swept_up(chat: Program, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [chat.path, "-i", "--no-keep"], env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        wait_for(lambda: list(tmp_path.glob("_MEI*/.modelembed.lock")))
        wait_for(lambda: len(children(process.pid)) == 1)
        alive = chat("--version", "--no-keep", TMPDIR=str(tmp_path))
        assert alive.code == 0
        assert len(leftovers(tmp_path)) == 1, "a running program's folder was swept away"
        (program,) = children(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{program}").exists())
    (killed,) = leftovers(tmp_path)
    foreign = tmp_path / "_MEI00000001abcdef"
    foreign.mkdir()
    assert len(leftovers(tmp_path)) == 2

    age(killed, 10)  # younger folders may belong to somebody who is just ending
    chat("--version", "--no-keep", TMPDIR=str(tmp_path))
    assert [foreign] == leftovers(tmp_path)


def test_what_a_removal_that_was_cut_off_left_is_swept_up(chat: Program, tmp_path: Path) -> None:
    """The launcher removes in any order: the mark may be the first to go."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [chat.path, "-i", "--no-keep"], env=environment, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout
        process.stdin.write(f"{FRANCE}\n")
        process.stdin.flush()
        assert process.stdout.readline() == PARIS
        os.killpg(process.pid, signal.SIGKILL)
    (left,) = leftovers(tmp_path)
    (left / ".modelembed.lock").unlink()
    age(left, 9999)

    chat("--version", "--no-keep", TMPDIR=str(tmp_path))
    assert leftovers(tmp_path) == []


def age(folder: Path, seconds: float) -> None:
    """Make a folder and all in it so much older."""
    when = time.time() - seconds
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (when, when), follow_symlinks=False)


def children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def test_interrupting_an_answer_ends_with_130(chat: Program) -> None:
    with subprocess.Popen(
        [chat.path, "Tell me a story.", "--ignore-eos", "-n", "100000"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout and process.stderr
        process.stdout.read(10)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does: to the whole group
        error = process.stderr.read()

    assert process.returncode == 130
    assert b"Traceback" not in error


def test_interrupting_at_any_moment_is_quiet(chat: Program, tmp_path: Path) -> None:
    """From the launcher's first step to the interpreter's last."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    begin = time.monotonic()
    chat(FRANCE, "-t", "1")
    whole = time.monotonic() - begin
    noisy = {}
    for step in range(1, MOMENTS + 1):
        with subprocess.Popen(
            [chat.path, FRANCE, "-t", "1"], env=environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            time.sleep(whole * step / MOMENTS)
            os.killpg(process.pid, signal.SIGINT)
            answer, error = process.communicate()

        # It dies of the signal, which shells call 130, while there is no program to say so yet.
        if error.strip() or process.returncode not in (-signal.SIGINT, 130, 0):
            noisy[step] = (process.returncode, error)
        assert process.returncode or answer == PARIS

    # Between the start of Python itself and its first line a fifth of a millisecond remains.
    assert len(noisy) <= 1, noisy


@pytest.mark.parametrize("tool", ["strip", "objcopy"])
def test_strip_and_objcopy_do_no_harm(chat: Program, tmp_path: Path, tool: str) -> None:
    copy = tmp_path / "chat"
    arguments = ["-o", copy, chat.path] if tool == "strip" else [chat.path, copy]
    subprocess.run([tool, *arguments], check=True)

    assert Program(copy)(FRANCE).out == PARIS
    assert Program(copy)("verify").out == "intact\n"


def test_a_damaged_file_says_so_before_it_speaks(forms: dict[str, Path], tmp_path: Path) -> None:
    """Footer and manifest are checked at every start, compressed weights while unpacked."""
    from runtime.container import bundle_file

    bundle = bundle_file.load(forms["zstd"])
    assert bundle.model is not None
    places = {
        "footer": bundle.footer.offset + 40,
        "manifest": bundle.footer.manifest_offset + 20,
        "compressed": bundle.model.offset + bundle.model.length // 2,
    }
    bundle.close()
    for name, place in places.items():
        copy = tmp_path / name
        shutil.copy(forms["zstd"], copy)
        with open(copy, "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 0x10]))
        done = Program(copy)(FRANCE)

        assert (1, "") == (done.code, done.out), name
        assert "error:" in done.err
        assert "hint:" in done.err
        assert "Traceback" not in done.err
