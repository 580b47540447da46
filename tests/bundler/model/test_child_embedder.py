"""Vectors computed in another process: what it says is read, and why it ends is told."""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.model import child_embedder
from runtime.container.text_form import TextForm
from runtime.errors import AppError

FORM = TextForm("mean", "query: ")
FIRST = json.dumps({"dimensions": 2, "identity": "x mean"})


def vectors(*numbers: float) -> str:
    return json.dumps({"vectors": base64.b64encode(array("f", numbers).tobytes()).decode()})


@pytest.fixture
def runtime(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that gives a program of these lines of shell."""

    def write(script: str) -> Path:
        program = tmp_path / "runtime"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    return write


def test_texts_go_in_and_vectors_come_out(runtime: Callable[[str], Path], tmp_path: Path) -> None:
    keep = f"read -r line; printf '%s\\n' \"$line\" >> {tmp_path}/given"
    program = runtime(
        f"echo noise; echo '{FIRST}'; echo \"$@\" > {tmp_path}/given\n"
        f"{keep}; echo '{vectors(1, 0, 0, 1)}'\n{keep}; echo '{vectors(0.5, 0.25)}'"
    )
    with child_embedder.started(program, Path("e.gguf"), FORM) as embedder:
        assert (2, "x mean") == (embedder.dimensions, embedder.identity)
        assert [] == embedder.passages([])
        assert [[1, 0], [0, 1]] == [[*one] for one in embedder.passages(["a\n", "ü"])]
        assert [0.5, 0.25] == [*embedder.query("?")]
    given = (tmp_path / "given").read_text().splitlines()
    assert given[0].startswith(f"embed {Path('e.gguf').absolute()} --form ")
    assert [{"passages": ["a\n", "ü"]}, {"query": "?"}] == [json.loads(line) for line in given[1:]]


def test_why_it_ended_is_told(runtime: Callable[[str], Path]) -> None:
    program = runtime("printf 'error: it is too odd\\n\\nhint: bend it' >&2; exit 1")
    with (
        pytest.raises(AppError, match="could not be computed: it is too odd") as caught,
        child_embedder.started(program, Path("e.gguf"), FORM),
    ):
        pass
    assert "bend it" == caught.value.hint

    program = runtime(f"echo '{FIRST}'; read -r line; kill -SEGV $$")
    with (
        child_embedder.started(program, Path("e.gguf")) as embedder,
        pytest.raises(AppError, match="could not be computed: it crashed"),
    ):
        embedder.passages(["a"])
