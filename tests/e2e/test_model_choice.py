"""Which model is used, and what of a file's defaults applies to it: -m, --embedded, templates."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import ggufs
import pytest
from paths import DEMO
from program import Program
from terminals import Terminal

from runtime.devices import presence

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."


@pytest.fixture(scope="module")
def mute(modelembed: Program, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Return a program whose model has no template, and one baked in for it."""
    folder = tmp_path_factory.mktemp("mute")
    model = ggufs.write_model(folder / "mute.gguf", chat_template=None)
    done = modelembed(
        "bundle", str(model), "-o", str(folder / "mute"), "--no-check", "--set", "temp=0",
        "--chat-template", "chatml",
    )  # fmt: skip
    assert done.code == 0, done.err
    return Program(folder / "mute")


def template_line(done: str) -> str:
    return next(line for line in done.splitlines() if " template " in line)


def test_a_baked_template_is_for_the_model_it_came_with(mute: Program, chat: Program) -> None:
    assert "given" in template_line(mute("doctor", "--no-verify").out)

    other = mute("doctor", "--no-verify", "-m", str(DEMO))
    assert "the model's own" in template_line(other.out)
    assert (PARIS + "\n", "") == ((done := mute(FRANCE, "-m", str(DEMO))).out, done.err)
    # One that is asked for now is used whatever the model.
    given = mute(FRANCE, "-m", str(DEMO), "--chat-template", "nobodys")
    assert "there is no chat template called" in given.err


def test_another_bundle_brings_its_own_template(mute: Program, chat: Program) -> None:
    done = chat("doctor", "--no-verify", "-m", str(mute.path))

    assert "given" in template_line(done.out)


def test_what_the_user_did_not_ask_for_is_not_remarked_on(
    modelembed: Program, tmp_path: Path
) -> None:
    made = modelembed(
        "bundle", str(DEMO), "-o", str(tmp_path / "chat"), "--no-check", "--set", "n_gpu_layers=35"
    )
    assert 0 == made.code

    program = Program(tmp_path / "chat")
    assert "" == program(FRANCE, "-n", "2").err
    if not presence.possible():
        said = program(FRANCE, "-n", "2", "-ngl", "3").err
        assert "no GPU is used: no GPU was found" in said


def test_the_banner_names_the_model_that_answers(mute: Program) -> None:
    terminal = Terminal(mute.path, "-m", str(DEMO))
    terminal.shows("leaves")
    assert "modelembed demo" in terminal.text.casefold()

    terminal.type("  /help")
    terminal.shows("/regen")  # for all the spaces before it, it is a command
    terminal.child.sendeof()
    terminal.child.close(force=True)


def test_the_embedded_model_can_be_declined(chat: Program) -> None:
    done = chat("-embedded=false", "hi")

    assert 2 == done.code
    assert "no model in it" not in done.err
    assert "the model in this file is not to be used" in done.err
    assert "-m FILE.gguf" in done.err


def test_a_model_cannot_come_out_of_a_pipe(
    chat: Program, modelembed: Program, tmp_path: Path
) -> None:
    fifo = tmp_path / "model.gguf"
    os.mkfifo(fifo)
    for done in (
        chat("-m", str(fifo), "hi", seconds=20),
        modelembed("bundle", str(fifo), "-o", str(tmp_path / "out"), seconds=20),
        modelembed("inspect", str(fifo), seconds=20),
    ):
        assert 1 == done.code
        assert "it is a pipe, and must be a file that can be read from any place" in done.err
    script = f"'{chat.path}' -m <(cat '{DEMO}') hi"
    piped = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (1, True) == (piped.returncode, "it is a pipe, and must be a file" in piped.stderr)
