"""LoRA adapters: bundled, added, switched, refused."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from conftest import DEMO, Program
from test_terminal import Terminal

QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
RANK = 4


def write_adapter(path: Path, architecture: str = "llama", width: int = 0) -> Path:
    """Write an adapter that turns the demo model's answers into noise."""
    found = gguf.GGUFReader(str(DEMO)).get_field("llama.embedding_length")
    assert found is not None
    size = width or int(found.contents())
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    for name in ("attn_q", "attn_output"):
        for layer in (0, 1):
            tensor = f"blk.{layer}.{name}.weight"
            a = random.standard_normal((RANK, size)).astype(np.float32)
            writer.add_tensor(f"{tensor}.lora_a", a)
            writer.add_tensor(f"{tensor}.lora_b", np.ascontiguousarray(a.T[::-1]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("adapters") / "noise.gguf")


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory, modelembed: Program, noise: Path) -> Path:
    target = tmp_path_factory.mktemp("adapted") / "chat"
    done = modelembed(
        "bundle", str(DEMO), "-o", str(target), "--lora", str(noise), "--no-check",
        "--compress", "none", "--set", "temp=0", "--set", "n_predict=20",
    )  # fmt: skip
    assert done.code == 0, done.err
    return target


def test_an_adapter_changes_answers_as_strongly_as_asked(adapted: Path) -> None:
    program = Program(adapted)
    changed = program.ask(QUESTION)

    assert ANSWER != changed
    assert changed == program.ask(QUESTION, "--lora", "noise")
    assert changed == program.ask(QUESTION, "--lora", "noise=1.0")
    assert ANSWER == program.ask(QUESTION, "--lora", "none")
    assert ANSWER == program.ask(QUESTION, "--lora", "noise=0")
    assert changed != program.ask(QUESTION, "--lora", "noise=0.6")


def test_the_file_beside_a_program_brings_its_adapters(
    modelembed: Program, stub: Path, noise: Path, tmp_path: Path
) -> None:
    target, beside = tmp_path / "chat", tmp_path / "chat.payload"
    done = modelembed(
        "bundle", str(DEMO), "-o", str(target), "--lora", str(noise), "--no-check",
        "--compress", "none", "--sidecar",
    )  # fmt: skip
    assert done.code == 0, done.err
    flags = ("--temp", "0", "-n", "20")
    changed = Program(target).ask(QUESTION, *flags)

    assert ANSWER != changed
    assert changed == Program(stub).ask(QUESTION, "-m", str(beside), *flags)
    assert ANSWER == Program(stub).ask(QUESTION, "-m", str(beside), "--lora", "none", *flags)


def test_an_adapter_in_a_file_of_its_own(forms: dict[str, Path], noise: Path) -> None:
    program = Program(forms["stored"], ("--temp", "0", "-n", "20"))

    assert ANSWER == program.ask(QUESTION)
    assert ANSWER != program.ask(QUESTION, "--lora", str(noise))
    assert ANSWER == program.ask(QUESTION, "--lora", f"{noise}=0")


def test_the_adapter_comes_back_and_goes(
    modelembed: Program, adapted: Path, noise: Path, tmp_path: Path
) -> None:
    assert modelembed("verify", str(adapted)).out == "intact\n"
    done = modelembed("extract", str(adapted), "noise", "-o", str(tmp_path / "back.gguf"))
    assert done.code == 0, done.err
    assert noise.read_bytes() == (tmp_path / "back.gguf").read_bytes()

    plain, again = tmp_path / "plain", tmp_path / "again"
    assert modelembed("edit", str(adapted), "--remove", "noise", "-o", str(plain)).code == 0
    assert Program(plain).ask(QUESTION) == ANSWER
    assert modelembed("edit", str(plain), "--lora", str(noise), "-o", str(again)).code == 0
    assert Program(again).ask(QUESTION) == Program(adapted).ask(QUESTION)
    twice = modelembed("edit", str(again), "--lora", str(noise))
    assert "has a part 'noise' already" in twice.err


def test_switched_in_the_chat(adapted: Path) -> None:
    terminal = Terminal(adapted)
    terminal.shows("\n>")
    terminal.type("/lora")
    terminal.shows("adapters: noise=1")
    terminal.type("/lora none")
    terminal.shows("adapters: noise=0")
    terminal.type(QUESTION)
    assert terminal.shows(ANSWER)
    terminal.type("/lora nothing")
    assert terminal.shows("there is no adapter 'nothing'")
    terminal.child.close(force=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("missing", "there is no adapter 'missing'"),
        ("noise=much", "not NAME or NAME=SCALE"),
        (str(DEMO), "is no LoRA adapter"),
    ],
)
def test_what_is_refused(adapted: Path, text: str, message: str) -> None:
    done = Program(adapted)(QUESTION, "--lora", text)

    assert done.code in (1, 2)
    assert message in done.err
    assert "Traceback" not in done.err


def test_adapters_for_other_models(modelembed: Program, adapted: Path, tmp_path: Path) -> None:
    foreign = write_adapter(tmp_path / "foreign.gguf", "qwen2")
    done = modelembed("edit", str(adapted), "--lora", str(foreign))
    assert "is an adapter for qwen2, the model is llama" in done.err

    wide = write_adapter(tmp_path / "wide.gguf", width=512)
    done = Program(adapted)(QUESTION, "--lora", str(wide))
    assert done.code == 1
    assert "the engine cannot use the adapter" in done.err
