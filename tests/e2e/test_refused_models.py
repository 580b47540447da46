"""Models that the engine refuses: the program says why, and so does the bundler."""

from __future__ import annotations

from pathlib import Path

import misfits
import pytest
from program import Program

HINT = "\n\nhint: "


@pytest.mark.parametrize("kind", misfits.REFUSED)
def test_the_program_says_why(stub: Path, tmp_path: Path, kind: str) -> None:
    model = misfits.refused(tmp_path / "model.gguf", kind)
    done = Program(stub)("-m", str(model), "Hello")

    assert 1 == done.code
    reason = f"error: the engine cannot load {model}: {misfits.REFUSED[kind][1]}"
    assert done.err.startswith(reason + HINT)


@pytest.mark.parametrize("kind", misfits.VOCABULARY)
def test_the_bundler_says_why(modelembed: Program, tmp_path: Path, kind: str) -> None:
    model = misfits.refused(tmp_path / "model.gguf", kind)
    done = modelembed("bundle", str(model), "-o", str(tmp_path / "chat"))

    assert 1 == done.code
    assert f"error: the engine refuses {model}: {misfits.REFUSED[kind][1]}{HINT}" in done.err


def test_what_ends_the_engine_is_told(stub: Path, tmp_path: Path) -> None:
    model = misfits.without_layers(tmp_path / "model.gguf")
    done = Program(stub)("-m", str(model), "Hello")

    assert done.code < 0
    assert done.err.startswith("error: the engine gave up: GGML_ASSERT(hparams.n_layer_all > 0 ")
    assert HINT in done.err
    assert "libllama" not in done.err  # no backtrace


def test_a_grammar_that_does_not_parse(chat: Program) -> None:
    done = chat("Hello", "--grammar", 'root ::= "a" (')

    assert 2 == done.code
    assert done.err.startswith("error: the grammar cannot be used: expecting ')' at ")
    assert HINT in done.err
