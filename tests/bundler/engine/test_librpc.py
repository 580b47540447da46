"""What is put into ggml's RPC: it goes where it belongs, or the build fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.engine import librpc
from bundler.engine.compilation import with_insertions
from bundler.engine.toolchain import BuildFailed


def test_a_line_is_put_behind_another(tmp_path: Path) -> None:
    unit = tmp_path / "one.cpp"
    unit.write_text("a\nb\n")
    (folder := tmp_path / "made").mkdir()

    made = with_insertions(unit, [("a\n", "new\n")], folder)

    assert "a\nnew\nb\n" == made.read_text()
    assert "a\nb\n" == unit.read_text()


@pytest.mark.parametrize("text", ["b\n", "a\na\n"])
def test_a_source_that_has_changed_is_no_longer_built(tmp_path: Path, text: str) -> None:
    unit = tmp_path / "one.cpp"
    unit.write_text(text)

    with pytest.raises(BuildFailed, match=r"one\.cpp is not what it was: 'a' is missing"):
        with_insertions(unit, [("a\n", "new\n")], tmp_path)


def test_each_unit_is_there_and_includes_what_is_changed() -> None:
    texts = [(librpc.OWN / name).read_text() for name in librpc.UNITS]

    for changed in ("ggml-rpc.cpp", "transport.cpp"):
        assert any(f'#include "{changed}"' in text for text in texts)
