"""Restored models in the user's cache folder: where that fails, and what is left of killed runs."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from paths import DEMO, TESTS
from program import Program

QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."


@pytest.fixture(scope="module")
def caching(
    modelembed: Program, forms: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a program with --cache baked in."""
    path = tmp_path_factory.mktemp("caching") / "chat"
    done = modelembed(
        "edit", str(forms["zstd"]), "-o", str(path), "--set", "cache=true", "--set", "temp=0"
    )
    assert done.code == 0, done.err
    return path


@pytest.fixture
def kept(clean_home: Path) -> Path:
    """Return the folder of the models that are kept, in a home where there are none yet."""
    return clean_home / "cache" / "modelembed" / "models"


def test_the_check_of_a_bundle_keeps_nothing(
    modelembed: Program, stub: Path, kept: Path, tmp_path: Path
) -> None:
    done = modelembed(
        "bundle", str(DEMO), "-o", str(tmp_path / "chat"), "--stub", str(stub),
        "--compress", "zstd", "--set", "cache=true",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert not kept.exists()


def test_cache_that_cannot_be_written_stops_nobody(caching: Path, clean_home: Path) -> None:
    done = Program(caching)(QUESTION, XDG_CACHE_HOME="/proc")

    assert (0, f"{ANSWER}\n") == (done.code, done.out)
    assert done.err.startswith("note: the model cannot be kept in /proc/modelembed/models: ")
    assert "in memory instead" in done.err
    assert "--no-cache" in done.err


def test_model_larger_than_the_cache_stops_nobody(caching: Path, clean_home: Path) -> None:
    done = Program(caching)(QUESTION, "--cache-size", "0.001")

    assert (0, f"{ANSWER}\n") == (done.code, done.out)
    assert "the model has 3.7 MB, what is kept may take 1.0 MB" in done.err
    assert "--cache-size" in done.err


def test_what_a_killed_run_left_is_listed_and_deleted(caching: Path, kept: Path) -> None:
    program = Program(caching)
    assert program.ask(QUESTION) == ANSWER
    (model,) = kept.glob("*.gguf")
    left = model.with_suffix(".12345.part")
    left.write_bytes(bytes(2_000_000))
    busy = kept / f"{'b' * 64}.12345.part"
    busy.write_bytes(bytes(1000))
    with open(kept / f"{'b' * 64}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        listed, cleared = program("cache", "list"), program("cache", "clear")

    assert f"{left}  unfinished, of no use\n" in listed.out
    assert listed.out.endswith("5.7 MB  in 1 model and 1 leftover\n")
    assert "deleted 1 model and 1 leftover, 5.7 MB\n" == cleared.out
    assert [busy] == [path for path in kept.iterdir() if path.suffix != ".lock"]


def test_flipped_bit_in_a_kept_model_is_found(caching: Path, kept: Path) -> None:
    program = Program(caching)
    assert program.ask(QUESTION) == ANSWER
    assert program("verify").out == "intact\n"
    assert "  intact\n" in program("cache", "list", "--check").out
    (model,) = kept.glob("*.gguf")
    model.chmod(0o600)
    with open(model, "r+b") as file:
        file.seek(DEMO.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    verified, listed = program("verify"), program("cache", "list", "--check")

    assert (1, "") == (verified.code, verified.out)
    assert f"the unpacked copy {model} is damaged" in verified.err
    assert "cache clear" in verified.err
    assert listed.code == 1
    assert f"{model}  DAMAGED\n" in listed.out
    assert program("cache", "clear").code == 0
    assert program("verify").out == "intact\n"


@pytest.mark.usefixtures("hangup_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_while_it_is_written_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from runtime.container import bundle_file\n"
        "from runtime.weights import decompress, model_cache\n"
        "def slow(*_, **__): print('writing', flush=True); time.sleep(60)\n"
        "decompress.into_fd = slow\n"
        "bundle = bundle_file.load(sys.argv[1])\n"
        "model, no = bundle.model, lambda *_: None\n"
        "model_cache.open_or_restore(bundle, model, limit=1, threads=1, progress=no)"
    )
    golden = TESTS / "golden" / "bundle-v1-planes.bin"
    with subprocess.Popen(
        [sys.executable, "-c", code, golden], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert b"writing\n" == process.stdout.readline()
        process.send_signal(number)
        process.wait()

    assert [] == list((tmp_path / "modelembed" / "models").glob("*.part"))
