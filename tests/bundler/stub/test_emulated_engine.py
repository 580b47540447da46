"""The engine for 64-bit ARM, on processors that are emulated: it answers as it does on x86-64."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated import TARGET, every_processor, needs_emulator
from engines import demo, engine, in_child, question
from paths import DEMO

from bundler.engine import libraries, wheels
from bundler.engine.toolchain import find
from bundler.stub import cpu_probe, emulated_probe, emulator
from bundler.stub.emulated_probe import EmulatedProbe
from bundler.targets import here
from runtime.errors import AppError
from runtime.host import library_paths
from runtime.model import cpu_variants, variant_files

pytestmark = needs_emulator

BEST = {"cortex-a53": "armv8.0_1", "cortex-a76": "armv8.2_2", "max": "armv9.2_2"}
PARIS = "The capital of France is Paris."

PLANTED = {
    "sigill": "int ggml_backend_score(void) { return 1000000; }\n"
    "void *ggml_backend_init(void) { __builtin_trap(); }",
    "unfit": "int ggml_backend_score(void) { return 0; }",
}


@pytest.fixture(scope="module")
def libs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of libraries, where they have been compiled before."""
    compiler = find("zig", TARGET, tmp_path_factory.mktemp("compiler"), print)
    if not wheels.kept_folder(compiler).is_dir():
        pytest.skip(f"not compiled yet: python -m bundler.engine --target {TARGET.name}")
    return libraries.libraries(TARGET, print, "zig")


@pytest.fixture(scope="module")
def probe(libs: Path) -> Iterator[EmulatedProbe]:
    emulation = emulator.find(TARGET)
    assert emulation is not None
    with emulated_probe.built(emulation, libs, print) as made:
        yield made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the probe model, with what this machine computes."""
    machine, folder = here(), library_paths.library_folder()
    if machine is None or machine.plainest not in variant_files.variants(folder):
        pytest.skip("the installed engine has no variant for every processor")
    probe = tmp_path_factory.mktemp("probe") / "probe"
    cpu_probe.write(probe, folder, "test")
    return probe


def test_every_variant_is_there(libs: Path) -> None:
    assert {
        "armv8.0_1", "armv8.2_1", "armv8.2_2", "armv8.2_3", "armv8.6_1", "armv8.6_2", "armv9.2_1",
        "armv9.2_2",
    } == set(variant_files.variants(libs))  # fmt: skip


@every_processor
def test_a_processor_chooses_the_best_variant_that_it_can_run(
    probe: EmulatedProbe, cpu: str
) -> None:
    variants = variant_files.variants(probe.engine)
    scores = {name: probe.score(path, cpu) for name, path in variants.items()}

    assert BEST[cpu] == max(scores, key=lambda name: scores[name])


@in_child
def answer_here(path: str) -> None:
    """Write the tokens of question and answer, as this machine has them, into a file."""
    asked = question("What is the capital of France?")
    with engine() as one:
        assert PARIS == "".join(piece.text for piece in one.submit(asked))
    answer = demo().tokenize(PARIS, beginning=False)
    Path(path).write_text(json.dumps([asked, answer, demo().end_tokens]))


@every_processor
def test_the_demo_model_answers_as_it_does_here(
    probe: EmulatedProbe, tmp_path: Path, cpu: str
) -> None:
    answer_here(path=str(tmp_path / "tokens"))
    asked, answer, ends = json.loads((tmp_path / "tokens").read_text())
    rows = [asked, *([token] for token in answer)]
    variant = variant_files.variants(probe.engine)[BEST[cpu]]
    done = probe.logits(variant, DEMO, rows, cpu)

    assert "" == done.failure
    width = len(done.out) // len(rows)
    logits = [
        struct.unpack(f"<{width // 4}f", done.out[place : place + width])
        for place in range(0, len(done.out), width)
    ]
    chosen = [row.index(max(row)) for row in logits]
    assert answer == chosen[:-1]
    assert chosen[-1] in ends


def test_variants_are_proved(libs: Path, model: Path) -> None:
    said: list[str] = []

    assert {} == cpu_probe.prove(model, libs, said.append, TARGET)
    assert any(set(BEST.values()) <= set(line.replace(",", "").split()) for line in said)


def test_variants_that_fail_are_found(
    libs: Path, model: Path, probe: EmulatedProbe, tmp_path: Path
) -> None:
    compiler = find("zig", TARGET, tmp_path, print).cc
    folder = tmp_path / "engine"
    shutil.copytree(libs, folder)
    for name, text in PLANTED.items():
        source = tmp_path / f"{name}.c"
        source.write_text(text)
        library = folder / f"libggml-cpu-{name}.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    said: list[str] = []

    failed = cpu_probe.prove(model, folder, said.append, TARGET)

    assert ["sigill"] == list(failed)
    assert failed["sigill"].startswith("it died with SIG")
    assert "stub: not runnable here, proved on first use: unfit" == said[-1]


def test_the_plainest_variant_must_not_fail(libs: Path, model: Path, tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    shutil.copytree(model, probe)
    wrong = (probe / cpu_variants.PROBE_LOGITS).read_bytes()
    (probe / cpu_variants.PROBE_LOGITS).write_bytes(wrong[:-4] + struct.pack("<f", 1e3))

    with pytest.raises(AppError, match=f"the engine's {TARGET.plainest} variant fails"):
        cpu_probe.prove(probe, libs, print, TARGET)


def test_a_missing_emulator_is_said(
    model: Path, libs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []

    assert {} == cpu_probe.prove(model, libs, said.append, TARGET)
    assert "qemu-user-static" in said[0]
    assert "armv8.0_1" in said[1]
