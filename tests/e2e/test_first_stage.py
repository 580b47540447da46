"""Where the program unpacks itself, what it keeps of that, and what it says where nothing works."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from program import Program

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris.\n"
RECORD = ".modelembed.runtime"
BESIDE = ("TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME")
"""Variables that name places; a test sets those that it means."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty home."""
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    return path


def run(
    program: Path | str, *arguments: str, variables: Mapping[str, str | Path]
) -> subprocess.CompletedProcess[str]:
    """Run a program with nothing but these variables naming places."""
    environment = {key: value for key, value in os.environ.items() if key not in (*BESIDE, "HOME")}
    return subprocess.run(
        [program, *arguments], env={**environment, **{k: str(v) for k, v in variables.items()}},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


def kept(home: Path) -> list[Path]:
    """Return the runtimes kept in a home."""
    return sorted((home / ".cache" / "modelembed" / "runtimes").glob("_MEI*"))


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return inode and time of change of all files."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def answers(chat: Program, home: Path, *flags: str, **variables: str | Path) -> bool:
    """Tell whether the program answers rightly, and says nothing else."""
    done = run(chat.path, FRANCE, *flags, variables={"HOME": home, **variables})
    return (done.returncode, done.stdout, done.stderr) == (0, PARIS, "")


def test_a_second_start_writes_nothing(chat: Program, home: Path) -> None:
    assert answers(chat, home)
    (runtime,) = kept(home)
    before = files(home)

    assert answers(chat, home)
    assert before == files(home)
    assert 0o700 == runtime.stat().st_mode & 0o777


def test_one_cpu_variant_is_unpacked(chat: Program, home: Path) -> None:
    for _ in range(2):
        assert answers(chat, home)
        (runtime,) = kept(home)
        assert 1 == len(list(runtime.rglob("libggml-cpu-*")))
    assert not list(runtime.rglob(".variants-*"))


def test_nothing_is_kept_unless_wanted(chat: Program, home: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    assert answers(chat, home, "--no-keep", TMPDIR=temporary)
    assert [] == kept(home)
    assert [] == list(temporary.iterdir())


def test_a_kept_runtime_that_lost_something_is_unpacked_again(chat: Program, home: Path) -> None:
    assert answers(chat, home)
    (runtime,) = kept(home)
    library = runtime / "llama_cpp" / "lib" / "libllama.so"
    whole = library.read_bytes()
    for harm in (
        lambda: os.truncate(library, 1000), library.unlink, (runtime / RECORD).unlink,
        lambda: (runtime / RECORD).write_text("something else\n"), lambda: shutil.rmtree(runtime),
    ):  # fmt: skip
        harm()
        assert answers(chat, home)
        assert whole == library.read_bytes()
    assert [runtime] == kept(home)


def test_after_a_restart_of_the_system_all_is_compared(chat: Program, home: Path) -> None:
    """A power failure may have left zeros where the system had not written yet."""
    assert answers(chat, home)
    (runtime,) = kept(home)
    library = runtime / "llama_cpp" / "lib" / "libggml.so"
    record = runtime / RECORD
    identity = record.read_text().split()[0]
    other_start = f"{identity} 00000000-0000-0000-0000-000000000000\n"

    record.write_text(other_start)
    before = library.stat().st_ino
    assert answers(chat, home)
    assert before == library.stat().st_ino
    assert record.read_text() != other_start, "it would be compared at every start"

    record.write_text(other_start)
    whole = library.read_bytes()
    library.write_bytes(bytes(len(whole)))
    assert answers(chat, home)
    assert whole == library.read_bytes()


def test_what_others_may_have_changed_is_not_run(chat: Program, home: Path) -> None:
    assert answers(chat, home)
    (runtime,) = kept(home)
    (runtime / "libcrypto.so.3").write_bytes(b"planted")
    runtime.chmod(0o777)
    assert answers(chat, home)
    assert 0o700 == runtime.stat().st_mode & 0o777
    assert b"planted" != (runtime / "libcrypto.so.3").read_bytes()

    elsewhere = home / "elsewhere"
    runtime.rename(elsewhere)
    runtime.symlink_to(elsewhere)
    (elsewhere / "libcrypto.so.3").write_bytes(b"planted")
    assert answers(chat, home)
    assert not runtime.is_symlink()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("place", ["", ".cache", ".cache/modelembed", ".cache/modelembed/runtimes"])
def test_a_folder_of_somebody_else_is_left_alone(chat: Program, home: Path, place: str) -> None:
    (home / ".cache" / "modelembed" / "runtimes").mkdir(parents=True, mode=0o700)
    if not place:
        shutil.rmtree(home / ".cache")
    os.chown(home / place, 1234, 1234)
    before = sorted(home.rglob("*"))

    assert answers(chat, home)
    found = [path for path in home.rglob("*") if not path.name.startswith("cpu-")]
    if place:  # the verdict on the processor is kept in any case
        assert before == sorted(found)
    assert [] == kept(home)


def test_eight_first_starts_at_a_time_unpack_once(chat: Program, home: Path) -> None:
    environment = {**os.environ, "HOME": str(home)}
    environment.pop("XDG_CACHE_HOME", None)
    running = [
        subprocess.Popen(
            [chat.path, FRANCE, "-t", "1"], env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(8)
    ]  # fmt: skip

    assert [(PARIS, "")] * 8 == [process.communicate(timeout=300) for process in running]
    assert 1 == len(kept(home))
    assert [] == list((home / ".cache" / "modelembed" / "runtimes").glob(".new-*"))


def test_three_runtimes_are_kept_and_those_in_use(chat: Program, home: Path) -> None:
    assert answers(chat, home)
    (runtime,) = kept(home)
    others = [runtime.with_name(f"_MEI{number:014x}") for number in range(5)]
    for age, other in enumerate(others, 1):
        shutil.copytree(runtime, other)
        os.utime(other / RECORD, (time.time() - 1000 * age,) * 2)
    shutil.rmtree(runtime)
    unfinished = runtime.with_name(".new-_MEI00000000000000")
    unfinished.mkdir()
    with open(runtime.with_name("held"), "w") as held:
        used = subprocess.Popen(["flock", "-s", str(others[4]), "sleep", "60"], stdout=held)
        try:
            time.sleep(0.5)
            assert answers(chat, home)
        finally:
            used.terminate()
            used.wait()

    assert sorted([runtime, others[0], others[4]]) == kept(home)
    assert not unfinished.exists()


def test_a_killed_first_start_leaves_nothing_in_the_way(chat: Program, home: Path) -> None:
    environment = {**os.environ, "HOME": str(home)}
    environment.pop("XDG_CACHE_HOME", None)
    for step in range(12):
        with subprocess.Popen(
            [chat.path, "--version"], env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        ) as process:  # fmt: skip
            time.sleep(step * 0.008)
            os.killpg(process.pid, signal.SIGKILL)
    assert answers(chat, home)
    (runtime,) = kept(home)
    assert sorted({runtime.name, "lock"}) == sorted(p.name for p in runtime.parent.iterdir())


def test_without_a_home(chat: Program, tmp_path: Path) -> None:
    done = run(chat.path, FRANCE, variables={"TMPDIR": tmp_path})

    assert (0, PARIS) == (done.returncode, done.stdout)
    assert not list(tmp_path.glob("_MEI*"))


def test_a_missing_temporary_folder_is_passed_by(chat: Program, home: Path) -> None:
    assert answers(chat, home, "--no-keep", TMPDIR=home / "nowhere")


def test_variables_of_the_launcher_mean_nothing(chat: Program, home: Path) -> None:
    assert answers(
        chat, home, _PYI_ARCHIVE_FILE=chat.path, _PYI_PARENT_PROCESS_LEVEL="1",
        _PYI_APPLICATION_HOME_DIR="/nonexistent/_MEI00000001abcdef",
        PYINSTALLER_RESET_ENVIRONMENT="1", _PYI_LINUX_PROCESS_NAME="x",
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_temporary_run_ends_as_the_program_does(
    chat: Program, home: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """The process that waits passes on what is sent to it alone, and tidies up."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary)}
    codes = []
    for flags in ((), ("--no-keep",)):
        with subprocess.Popen(
            [chat.path, "Tell me a story.", "--ignore-eos", "-n", "100000", *flags],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            assert process.stdout
            process.stdout.read(10)
            process.send_signal(number)
            process.stdout.read()
        codes.append(process.returncode)

    assert codes[0] == codes[1]
    assert [] == list(temporary.iterdir())


NARROW = """
set -e
mount --bind {folder} /mnt
for place in /tmp /dev/shm /var/tmp; do mount -t tmpfs -o {options} tmpfs $place; done
exec /mnt/chat "$@"
"""


def in_a_narrow_place(
    chat: Program, tmp_path: Path, options: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the program where all usual temporary folders are mounted with `options`."""
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    shutil.copy2(chat.path, folder / "chat")
    script = NARROW.format(folder=folder, options=options)
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not mount file systems of its own here")
    command = ["-m", "sh", "-c", script, "sh", *(arguments or [FRANCE])]
    return run("unshare", *command, variables=variables)


@pytest.mark.parametrize(
    ("options", "why"),
    [("noexec,size=300m", "programs may not run from there (noexec)"),
     ("size=20m", "it has only 20 MB left"), ("ro,size=300m", "nothing can be written there")],
)  # fmt: skip
def test_where_nothing_works_it_is_said_plainly(
    chat: Program, tmp_path: Path, options: str, why: str
) -> None:
    done = in_a_narrow_place(chat, tmp_path, options, TMPDIR="/nonexistent", HOME="/nonexistent")

    assert (1, "") == (done.returncode, done.stdout)
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: there is no place to unpack the program, which takes ")
    assert "  /nonexistent: there is no such folder" in lines
    for place in ("/tmp", "/dev/shm", "/var/tmp"):
        assert f"  {place}: {why}" in lines
    assert lines[-1].startswith("hint: name a folder with room")


def test_a_full_temporary_folder_does_not_matter_to_who_has_a_home(
    chat: Program, tmp_path: Path
) -> None:
    done = in_a_narrow_place(chat, tmp_path, "noexec,size=1m", HOME="/mnt", TMPDIR="/tmp")

    assert (0, PARIS) == (done.returncode, done.stdout)


def test_the_room_that_doctor_asks_for_is_what_a_run_takes(chat: Program, tmp_path: Path) -> None:
    places = {"TMPDIR": "/tmp", "HOME": "/proc"}  # where nobody can keep anything
    # One run finds room there, and leaves too little for another.
    told = in_a_narrow_place(chat, tmp_path, "size=64m", "doctor", "-ngl", "0", **places)
    found = re.search(r"warn  temp folder .*\n *([\d.]+) MB are needed at every start", told.stdout)
    assert found, told.stdout + told.stderr
    needed = float(found[1]) * 1e6

    enough = in_a_narrow_place(chat, tmp_path, f"size={needed:.0f}", **places)
    assert (0, PARIS) == (enough.returncode, enough.stdout), enough.stderr
    less = in_a_narrow_place(chat, tmp_path, f"size={needed * 0.9:.0f}", **places)
    assert 1 == less.returncode


def test_a_cut_file_says_so(chat: Program, home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "chat"
    whole = chat.path.read_bytes()
    for size in (len(whole) - 100, len(whole) - 3000, len(whole) // 2, 300_000):
        copy.write_bytes(whole[:size])
        copy.chmod(0o755)
        done = run(copy, FRANCE, variables={"HOME": home})
        assert (1, "") == (done.returncode, done.stdout), size
        assert done.stderr.startswith(f"error: {copy}"), size
        assert "hint: copy or download it again" in done.stderr or "hint: download" in done.stderr
