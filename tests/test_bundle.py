"""Bundling: what goes in comes out, nothing is lost, nothing half-made is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import ggufs
import pytest
from conftest import DEMO, Program

QUICK = ("--compress", "none", "--no-check")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return Path(ggufs.write_model(folder / "tiny.gguf", chat_template=ggufs.CHATML))


def test_the_default_name_is_the_models(modelembed: Program, tiny: Path, tmp_path: Path) -> None:
    shutil.copy(tiny, tmp_path / "small.gguf")
    done = subprocess.run(
        [modelembed.path, "bundle", "small.gguf", *QUICK],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "run it: ./small" in done.stderr
    assert os.access(tmp_path / "small", os.X_OK)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small", "small.gguf"]


def test_two_runs_make_the_same_bytes(modelembed: Program, tiny: Path, tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        for compression in ("none", "zstd"):
            target = tmp_path / f"{name}-{compression}"
            done = modelembed(
                "bundle", str(tiny), "-o", str(target), "--no-check", "--compress", compression
            )
            assert done.code == 0, done.err
            made.append(target.read_bytes())

    assert made[:2] == made[2:]


@pytest.mark.parametrize("compression", ["none", "zstd", "auto"])
def test_the_model_comes_back_bit_for_bit(
    modelembed: Program, tmp_path: Path, compression: str
) -> None:
    target = tmp_path / "chat"
    modelembed("bundle", str(DEMO), "-o", str(target), "--no-check", "--compress", compression)
    program = Program(target)

    assert program("verify").out == "intact\n"
    assert program("extract", "-o", str(tmp_path / "a.gguf")).code == 0
    assert modelembed("extract", str(target), "-o", str(tmp_path / "b.gguf")).code == 0
    assert DEMO.read_bytes() == (tmp_path / "a.gguf").read_bytes()
    assert DEMO.read_bytes() == (tmp_path / "b.gguf").read_bytes()

    again = program("extract", "-o", str(tmp_path / "a.gguf"))
    assert again.code == 1
    assert "exists already" in again.err


def test_an_existing_file_is_replaced_only_with_force(
    modelembed: Program, tiny: Path, tmp_path: Path
) -> None:
    target = tmp_path / "chat"
    target.write_text("precious")

    refused = modelembed("bundle", str(tiny), "-o", str(target), *QUICK)
    assert refused.code == 2
    assert "--force" in refused.err
    assert target.read_text() == "precious"

    assert modelembed("bundle", str(tiny), "-o", str(target), "--force", *QUICK).code == 0
    assert target.stat().st_size > 1 << 20


def test_the_model_itself_is_never_overwritten(modelembed: Program, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copy(DEMO, model)

    done = modelembed("bundle", str(model), "-o", str(model), "--force", *QUICK)

    assert done.code == 2
    assert DEMO.read_bytes() == model.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_nothing(
    modelembed: Program, stub: Path, tmp_path: Path, number: signal.Signals
) -> None:
    model = Path(ggufs.write_model(tmp_path / "m.gguf"))
    with open(model, "ab") as file:
        for _ in range(64):
            file.write(os.urandom(8 << 20))  # enough to be caught in the middle
    folder = tmp_path / "out"
    folder.mkdir()
    with subprocess.Popen(
        [
            modelembed.path, "bundle", model, "-o", folder / "chat", "--compress", "zstd",
            "--no-check", "--stub", stub,
        ],
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        # It is writing once it holds a file open in the folder, named or not.
        descriptors = Path(f"/proc/{process.pid}/fd")
        while process.poll() is None:
            links = [os.readlink(d) for d in descriptors.iterdir() if d.is_symlink()]
            if any(link.startswith(str(folder)) for link in links):
                break
            time.sleep(0.01)
        process.send_signal(number)

    assert process.returncode != 0
    assert list(folder.iterdir()) == []


def test_a_full_disk_leaves_nothing_and_says_so(
    modelembed: Program, tiny: Path, tmp_path: Path
) -> None:
    mount = tmp_path / "full"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a file system of its own here")
    try:
        done = modelembed("bundle", str(tiny), "-o", str(mount / "chat"), *QUICK)
        assert done.code == 1
        assert "No space left" in done.err
        assert "free some space" in done.err
        assert list(mount.iterdir()) == []
    finally:
        subprocess.run(["umount", mount], check=True)


def test_a_folder_that_does_not_exist(modelembed: Program, tiny: Path, tmp_path: Path) -> None:
    done = modelembed("bundle", str(tiny), "-o", str(tmp_path / "no" / "chat"), *QUICK)

    assert done.code == 1
    assert "that folder does not exist" in done.err


def test_everything_baked_in_is_shown_and_can_be_overridden(
    modelembed: Program, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "model": "demo-1",
                "display_name": "Atlas",
                "context_length": 512,
                "model_path": "$HERE/demo.gguf",
                "n_gpu_layers": 0,
                "supports_images": False,
                "parameters": {"temperature": 0.7, "top_p": 0.8, "top_k": 5, "max_tokens": 40},
                "colour": "red",
            }
        )
    )
    target = tmp_path / "chat"
    done = modelembed(
        "bundle", "--config", str(config), "-o", str(target), *QUICK, "--set", "temp=0",
        "--system", "Your name is Max.", "--greeting", "Hello there.", HERE=str(DEMO.parent),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "unknown key 'colour'" in done.err

    program = Program(target)
    document = json.loads(program("info", "--json").out)
    assert document["name"] == "Atlas"
    assert document["defaults"] == {
        "ctx_size": 512,
        "gpu_layers": 0,
        "greeting": "Hello there.",
        "n_predict": 40,
        "system": "Your name is Max.",
        "temp": 0.0,
        "top_k": 5,
        "top_p": 0.8,
    }
    assert document["model"]["license"]
    assert program.ask("What is your name?") == "My name is Max."
    assert program.ask("What is your name?", "-sys", "Your name is Tom.") == "My name is Tom."
    assert "Atlas" in program("--version").out


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("temp=hot", "expected a number"),
        ("temp=-1", "from 0 to 100"),
        ("tmp=1", "did you mean 'temp'"),
        ("top_k", "is not KEY=VALUE"),
        ("color=pink", "auto or on or off"),
    ],
)
def test_a_wrong_setting_is_named(
    modelembed: Program, tiny: Path, tmp_path: Path, pair: str, message: str
) -> None:
    done = modelembed("bundle", str(tiny), "-o", str(tmp_path / "x"), *QUICK, "--set", pair)

    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "x").exists()


def test_the_product_is_proved(modelembed: Program, tmp_path: Path) -> None:
    done = modelembed("bundle", str(DEMO), "-o", str(tmp_path / "chat"))

    assert done.code == 0, done.err
    for word in ("size", "start", "first token after", "tokens/s", "memory", "CPU"):
        assert word in done.err


def test_a_split_model_is_merged(modelembed: Program, tmp_path: Path) -> None:
    whole = tmp_path / "demo.gguf"
    shutil.copy(DEMO, whole)
    parts = ggufs.split_model(whole, 3)
    whole.unlink()
    target = tmp_path / "chat"

    done = modelembed("bundle", str(parts[0]), "-o", str(target), "--no-check", "--set", "temp=0")
    assert done.code == 0, done.err
    assert "merged 3 parts" in done.err
    assert (
        Program(target).ask("What is the capital of France?") == "The capital of France is Paris."
    )

    Path(parts[1]).unlink()
    missing = modelembed("bundle", str(parts[0]), "-o", str(tmp_path / "x"), "--no-check")
    assert missing.code == 1
    assert Path(parts[1]).name in missing.err
