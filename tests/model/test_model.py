"""Loading a model: what the engine refuses, it refuses with its reason."""

from __future__ import annotations

from pathlib import Path

import misfits
import pytest
from engines import demo, in_child

from runtime.errors import ModelError


@in_child
def refuses(path: Path, reason: str) -> None:
    with pytest.raises(ModelError) as caught:
        demo(path)

    assert f"the engine cannot load {path}: {reason}" == caught.value.problem


@pytest.mark.parametrize("kind", misfits.REFUSED)
def test_a_refused_model_comes_with_the_reason(tmp_path: Path, kind: str) -> None:
    path = misfits.refused(tmp_path / "model.gguf", kind)

    refuses(path=path, reason=misfits.REFUSED[kind][1])


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = misfits.unknown_architecture(tmp_path / "model.gguf")

    refuses(path=path, reason="unknown model architecture: 'llama99'")


def test_the_cause_is_told_not_its_consequence(tmp_path: Path) -> None:
    path = misfits.hostile(tmp_path / "model.gguf", "unknown_tensor_type")

    refuses(path=path, reason="tensor 't' has invalid ggml type 999. should be in [0, 43)")
