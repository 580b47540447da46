"""LoRA adapters: bundled, added, switched, refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from adapters import write_adapter
from paths import DEMO
from program import Program
from terminals import Terminal

from runtime.container import bundle_file

QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."


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
        (str(DEMO), "is no LoRA adapter: it is a model"),
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


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory, modelembed: Program, noise: Path) -> Path:
    target = tmp_path_factory.mktemp("weak") / "chat"
    done = modelembed(
        "bundle", str(DEMO), "-o", str(target), "--lora", f"{noise}=0.5", "--no-check",
        "--compress", "none", "--set", "temp=0", "--set", "n_predict=20",
    )  # fmt: skip
    assert done.code == 0, done.err
    return target


def lora_of(path: Path) -> object:
    return bundle_file.load(path).manifest.defaults.get("lora")


def test_a_default_goes_with_its_adapter(modelembed: Program, weak: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    assert "noise=0.5" == lora_of(weak)
    assert modelembed("edit", str(weak), "--remove", "noise", "-o", str(plain)).code == 0

    assert lora_of(plain) is None
    assert Program(plain).ask(QUESTION) == ANSWER


def test_an_added_adapter_is_used(
    modelembed: Program, weak: Path, noise: Path, tmp_path: Path
) -> None:
    second = shutil.copy(noise, tmp_path / "second.gguf")
    made = tmp_path / "made"
    done = modelembed("edit", str(weak), "--lora", str(second), "-o", str(made))
    assert done.code == 0, done.err
    assert "noise=0.5,second=1" == lora_of(made)
    assert Program(made).ask(QUESTION) != Program(weak).ask(QUESTION)

    assert modelembed("edit", str(made), "--remove", "second").code == 0
    assert "noise=0.5" == lora_of(made)
    assert modelembed("edit", str(made), "--lora", f"{second}=0").code == 0
    assert "noise=0.5,second=0" == lora_of(made)
    assert Program(made).ask(QUESTION) == Program(weak).ask(QUESTION)
    assert modelembed("edit", str(made), "--set", "lora=none").code == 0
    assert modelembed("edit", str(made), "--remove", "noise").code == 0
    assert "none" == lora_of(made)  # what was not to be used is not used now
    assert modelembed("edit", str(made), "--unset", "lora").code == 0
    assert modelembed("edit", str(made), "--lora", f"{noise}=.25").code == 0
    assert "second=1,noise=0.25" == lora_of(made)
    assert modelembed("edit", str(made), "--remove", "noise").code == 0
    assert lora_of(made) is None


@pytest.mark.parametrize("scale", ["abc", "nan", "", "1e400", "0,5"])
def test_a_strength_that_is_none_is_refused_at_once(
    modelembed: Program, weak: Path, noise: Path, tmp_path: Path, scale: str
) -> None:
    target = tmp_path / "chat"
    before = weak.stat()
    for command in (("bundle", str(DEMO), "-o", str(target), "--no-check"), ("edit", str(weak))):
        done = modelembed(*command, "--lora", f"{noise}={scale}")
        assert 2 == done.code
        assert f"'{scale}' is no number" in done.err
        assert "pirate.gguf=0.5" in done.err
    assert not target.exists()
    assert before.st_ino == weak.stat().st_ino


@pytest.mark.parametrize("value", ["nonexist", "noise", "second=0.5"])
def test_a_default_that_asks_for_no_part_is_refused_at_once(
    modelembed: Program, weak: Path, tmp_path: Path, value: str
) -> None:
    target = tmp_path / "chat"
    done = modelembed(
        "bundle", str(DEMO), "-o", str(target), "--no-check", "--set", f"lora={value}"
    )
    assert (2, False) == (done.code, target.exists())
    assert "which is no adapter in this file" in done.err
    done = modelembed("edit", str(weak), "--set", f"lora={value}", "-o", str(target))
    assert (0 if value == "noise" else 2) == done.code


@pytest.mark.parametrize(
    "name", ["a\nb.gguf", ".gguf", "..gguf", "...gguf", "a,b.gguf", "none.gguf", " a.gguf",
             "manifest.gguf", "\udcff.gguf"],
)  # fmt: skip
def test_adapters_that_nobody_could_name(
    modelembed: Program, weak: Path, noise: Path, tmp_path: Path, name: str
) -> None:
    named = shutil.copy(noise, tmp_path / name)
    for command in (
        ("bundle", str(DEMO), "-o", str(tmp_path / "chat"), "--no-check"),
        ("edit", str(weak), "-o", str(tmp_path / "chat")),
    ):
        done = modelembed(*command, "--lora", str(named))
        assert 2 == done.code
        assert "error: an adapter cannot be called" in done.err
        assert "hint: it is known by the name of its file" in done.err
    assert not (tmp_path / "chat").exists()
