"""What a model says about itself is a stranger's text: on a terminal it steers nothing."""

from __future__ import annotations

from pathlib import Path

import ggufs
import pytest
from program import Program
from terminals import Terminal

NAME = "Evil\x1b[31m\x1b]0;owned\x07\nerror: \u202eeman"
PLAIN = "Evil [31m ]0;owned  error:  eman"


def harmless(text: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in text)


@pytest.fixture(scope="module")
def evil(modelembed: Program, tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("evil")
    model = ggufs.write_model(folder / "m.gguf", name=NAME, license="MIT\x1b[2J")
    done = modelembed("bundle", str(model), "-o", str(folder / "evil"), "--no-check")
    assert done.code == 0
    assert harmless(done.err), done.err
    assert PLAIN in done.err
    return Program(folder / "evil")


@pytest.mark.parametrize(
    "arguments",
    [["licenses"], ["info"], ["--version"], ["doctor"], ["bench", "-p", "8", "-n", "2", "-r", "1"]],
    ids=lambda words: words[0],
)
def test_a_name_steers_nothing(evil: Program, arguments: list[str]) -> None:
    done = evil(*arguments)

    assert 0 == done.code, done.err
    assert harmless(done.out.partition("=== llama-cpp")[0]) and harmless(done.err)
    assert "Evil [31m" in done.out


def test_the_banner_steers_nothing(evil: Program) -> None:
    terminal = Terminal(evil.path, "-n", "1")
    terminal.shows("leaves")

    assert PLAIN in terminal.text
    assert b"owned\x07" not in terminal.raw
    terminal.child.sendeof()
    terminal.child.close(force=True)


def test_an_error_steers_nothing(modelembed: Program, tmp_path: Path) -> None:
    model = ggufs.write_model(tmp_path / "m.gguf", "ll\x1b[31mama")
    done = modelembed("bundle", str(model), "-o", str(tmp_path / "out"))

    assert 1 == done.code
    assert harmless(done.err), done.err
    assert "[31m" in done.err
