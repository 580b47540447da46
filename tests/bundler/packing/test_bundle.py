"""Bundling: what goes in comes out, nothing is lost, nothing half-made is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import bundles
import ggufs
import pytest
from paths import DEMO
from program import Program, is_writing

from bundler.model import lint
from bundler.packing import bundle as bundling
from runtime.commands.bundles import verify_extract
from runtime.container import bundle_file
from runtime.container.extents import Extents
from runtime.container.layout import Section
from runtime.container.writer import Written
from runtime.errors import AppError, GGUFError, UsageError
from runtime.host.progress_bar import Progress
from runtime.weights import compress
from runtime.weights.compress import Piece

QUICK = ("--compress", "none", "--no-check")
MODES = ("none", "auto", "max", "15%")


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


@pytest.mark.parametrize("mode", MODES)
def test_two_runs_make_the_same_bytes(
    modelembed: Program, tiny: Path, tmp_path: Path, mode: str
) -> None:
    made = []
    for name in ("a", "b"):
        done = modelembed(
            "bundle", str(tiny), "-o", str(tmp_path / name), "--no-check", "--compress", mode
        )
        assert done.code == 0, done.err
        made.append((tmp_path / name).read_bytes())

    assert made[0] == made[1]


@pytest.mark.parametrize("compression", ["none", "max", "auto"])
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
    assert again.code == 2
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


def test_nor_is_it_where_its_payload_would_be(
    modelembed: Program, tiny: Path, tmp_path: Path
) -> None:
    model = tmp_path / "chat.payload"
    shutil.copy(tiny, model)
    words = ("bundle", str(model), "-o", str(tmp_path / "chat"), "--sidecar", "--force", *QUICK)
    done = modelembed(*words)

    assert (2, ["chat.payload"]) == (done.code, os.listdir(tmp_path))
    assert "chat.payload is the model itself" in done.err
    assert tiny.read_bytes() == model.read_bytes()


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
            modelembed.path, "bundle", model, "-o", folder / "chat", "--compress", "max",
            "--no-check", "--stub", stub,
        ],
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        writing = is_writing(process, folder)
        process.send_signal(number)

    assert writing
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


def test_a_temporary_folder_that_does_not_exist(
    models: dict[str, Path],
    findings: Future[lint.EngineFindings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not the target that is to blame."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(AppError, match=r"the temporary folder .*/gone cannot be used") as caught:
        bundled(models["BF16"], tmp_path / "chat", "auto", findings)

    assert "TMPDIR=" in caught.value.hint
    assert not (tmp_path / "chat").exists()


def test_an_existing_payload_is_replaced_only_with_force(
    modelembed: Program, tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "chat.payload").write_bytes(b"precious")
    refused = modelembed("bundle", str(tiny), "-o", str(tmp_path / "chat"), "--sidecar", *QUICK)

    assert (2, ["chat.payload"]) == (refused.code, os.listdir(tmp_path))
    assert "chat.payload exists already" in refused.err
    assert b"precious" == (tmp_path / "chat.payload").read_bytes()


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


def test_more_than_a_manifest_holds_is_refused(
    modelembed: Program, tiny: Path, tmp_path: Path
) -> None:
    """Or the product could not be read: FORMAT.md limits the manifest."""
    (tmp_path / "system").write_text("x" * (17 << 20))
    done = modelembed(
        "bundle", str(tiny), "-o", str(tmp_path / "x"), *QUICK, "--system",
        f"@{tmp_path / 'system'}",
    )  # fmt: skip

    assert done.code == 2
    assert "bytes, at most 16,777,216" in done.err
    assert "shorten the system prompt" in done.err
    assert not (tmp_path / "x").exists()


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


# The choice of a codec needs no runtime: here the stub is one that cannot run.


@dataclass
class Bundled:
    """What came of bundling a model without a real runtime."""

    path: Path
    said: list[str] = field(default_factory=list)

    @property
    def section(self) -> Section:
        bundle = bundle_file.load(self.path)
        bundle.close()
        return bundle.section("model")

    def original(self) -> bytes:
        """Return the model, proved."""
        bundle = bundle_file.load(self.path)
        for _ in verify_extract.verify(bundle):
            pass
        verify_extract.extract(bundle, "model", self.path.with_suffix(".gguf"))
        bundle.close()
        return self.path.with_suffix(".gguf").read_bytes()


def bundled(model: Path, target: Path, mode: str, findings: Future[lint.EngineFindings]) -> Bundled:
    """Return an executable of a model, made without asking the engine."""
    target.parent.mkdir(exist_ok=True)
    stub = bundle_file.load(bundles.write(target.with_suffix(".stub")))
    made = Bundled(target)
    recipe = bundling.Recipe(name="Tiny", threshold=bundling.threshold(mode))
    try:
        found = lint.examine(lint.preflight(model))
        bundling.make(target, stub, found, findings, recipe, made.said.append)
    finally:
        stub.close()
    return made


@pytest.fixture
def findings(clean_home: Path) -> Future[lint.EngineFindings]:
    """Return that the engine has nothing against a model."""
    future: Future[lint.EngineFindings] = Future()
    future.set_result(lint.EngineFindings())
    return future


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return models of which compression saves much, and little."""
    folder = tmp_path_factory.mktemp("models")
    shape = ggufs.Shape(vocabulary=288, feed_forward=1024, layers=4)
    return {
        weights: Path(ggufs.write_model(folder / weights, weight_type=weights, shape=shape))
        for weights in ("BF16", "Q6_K")
    }


@pytest.mark.parametrize(
    ("text", "share"),
    [("auto", 0.10), ("max", 0.0), ("zstd", 0.0), ("none", None), ("15%", 0.15), ("0%", 0.0),
     ("12.5%", 0.125), ("99.9%", 0.999)],
)  # fmt: skip
def test_compress_takes_a_word_or_a_share(text: str, share: float | None) -> None:
    assert share == pytest.approx(bundling.threshold(text))


@pytest.mark.parametrize(
    "text", ["", "yes", "AUTO", "15", "0.15", "%", "-1%", "100%", "1e3%", "nan%", "inf%",
             "15 percent", "15%%", "lzma"],
)  # fmt: skip
def test_compress_takes_nothing_else(text: str) -> None:
    with pytest.raises(UsageError, match="--compress takes auto, max, none or a share") as caught:
        bundling.threshold(text)

    assert f"not '{text}'" in caught.value.problem
    assert "15%" in caught.value.hint


def test_a_wrong_compression_is_refused_before_anything_is_built(
    tiny: Path, tmp_path: Path
) -> None:
    program = Program(Path(sys.executable).parent / "modelembed")
    done = program("bundle", str(tiny), "-o", str(tmp_path / "x"), "--compress", "lzma")

    assert (2, "") == (done.code, done.out)
    assert done.err.startswith("error: --compress takes auto, max, none or a share")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("weights", "mode", "codec"),
    [
        ("BF16", "auto", "planes"),
        ("BF16", "15%", "planes"),
        ("BF16", "60%", "stored"),
        ("BF16", "none", "stored"),
        ("Q6_K", "auto", "stored"),
        ("Q6_K", "max", "planes"),
        ("Q6_K", "zstd", "planes"),
        ("Q6_K", "0%", "planes"),
        ("Q6_K", "15%", "stored"),
    ],
)
def test_compression_is_chosen_by_what_it_saves(
    models: dict[str, Path],
    findings: Future[lint.EngineFindings],
    tmp_path: Path,
    weights: str,
    mode: str,
    codec: str,
) -> None:
    made = bundled(models[weights], tmp_path / "chat", mode, findings)
    size = models[weights].stat().st_size

    assert (codec, size) == (made.section.codec, made.section.size)
    assert models[weights].read_bytes() == made.original()
    assert (codec == "planes") == (made.section.length < size)
    (said,) = [text for text in made.said if not text.startswith("warning:")]
    assert said.startswith("compressing: " if codec == "planes" else f"storing: {size:,} bytes, ")


@pytest.mark.parametrize("mode", [*MODES, "zstd"])
@pytest.mark.parametrize("weights", ["BF16", "Q6_K"])
def test_the_same_bytes_again(
    models: dict[str, Path],
    findings: Future[lint.EngineFindings],
    tmp_path: Path,
    weights: str,
    mode: str,
) -> None:
    made = [bundled(models[weights], tmp_path / f / "chat", mode, findings) for f in ("a", "b")]

    assert made[0].path.read_bytes() == made[1].path.read_bytes()


def saving(model: Path, target: Path, findings: Future[lint.EngineFindings]) -> float:
    """Return by what percentage compression makes a model smaller."""
    section = bundled(model, target, "max", findings).section
    return 100 * (1 - section.length / section.size)


@pytest.mark.parametrize("weights", ["BF16", "Q6_K"])
def test_coding_that_saves_too_little_is_taken_back(
    models: dict[str, Path],
    findings: Future[lint.EngineFindings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weights: str,
) -> None:
    model, percent = models[weights], saving(models[weights], tmp_path / "max" / "chat", findings)
    stored = bundled(model, tmp_path / "none" / "chat", "none", findings)
    coded = []
    whole = compress.compress
    monkeypatch.setattr(
        compress, "compress", lambda *given, **more: coded.append(given) or whole(*given, **more)
    )
    # So near that samples cannot tell: all of it is coded, and then is not worth it.
    near = bundled(model, tmp_path / "near" / "chat", f"{percent + 0.2:.3f}%", findings)
    assert len(coded) == 1
    just = bundled(model, tmp_path / "just" / "chat", f"{percent - 0.2:.3f}%", findings)
    assert len(coded) == 2
    far = bundled(model, tmp_path / "far" / "chat", f"{percent + 20:.3f}%", findings)
    assert len(coded) == 2

    assert ["stored", "planes", "stored"] == [made.section.codec for made in (near, just, far)]
    assert stored.path.read_bytes() == near.path.read_bytes() == far.path.read_bytes()
    assert model.read_bytes() == near.original()
    assert any(f"compression saves only {percent:.1f}%" in text for text in near.said)


@pytest.mark.parametrize("mode", ["auto", "max"])
def test_coding_that_makes_it_larger_is_taken_back(
    models: dict[str, Path],
    findings: Future[lint.EngineFindings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
) -> None:
    whole = compress.compress

    def padded(source: Extents, pieces: Sequence[Piece], out: int, step: Progress) -> Written:
        written = whole(source, pieces, out, step)
        more = source.size - written.length + 100
        os.write(out, b"x" * more)
        return replace(written, length=written.length + more)

    monkeypatch.setattr(compress, "compress", padded)
    model = tmp_path / "sparse.gguf"
    shutil.copy(models["BF16"], model)
    os.truncate(model, model.stat().st_size + (4 << 20))  # a hole is skipped, not written
    made = bundled(model, tmp_path / "chat", mode, findings)

    assert "stored" == made.section.codec
    assert model.read_bytes() == made.original()
    assert made.path.stat().st_size < made.section.offset + made.section.size + 10_000
    assert any("compression saves only -0.0%" in text for text in made.said)


@pytest.mark.parametrize("mode", MODES)
def test_a_model_that_the_engine_refuses_leaves_nothing(
    models: dict[str, Path], clean_home: Path, tmp_path: Path, mode: str
) -> None:
    refused: Future[lint.EngineFindings] = Future()
    refused.set_exception(GGUFError("no such architecture"))
    target = tmp_path / "out" / "chat"
    with pytest.raises(GGUFError, match="no such architecture"):
        bundled(models["BF16"], target, mode, refused)

    assert ["chat.stub"] == os.listdir(target.parent)
