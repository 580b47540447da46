"""Projector files: found beside a model or in its bundle, opened where they lie."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import bundles
import pytest
from projectors import Pair, write_pair, write_projector

from runtime.errors import AppError, GGUFError, UsageError
from runtime.gguf.projector import Traits
from runtime.model import model_file
from runtime.model.projector import projector_file
from runtime.model.projector.projector_file import ProjectorFile
from runtime.options.registry import Options

PIECE = 100_000


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return write_pair(tmp_path_factory.mktemp("pair"), "llava")


def section(codec: str, path: Path, **entry: Any) -> bundles.Part:
    data = path.read_bytes()
    if codec == "stored":
        return bundles.stored(data, **entry)
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
    return bundles.planes(*map(bundles.chunk, pieces), **entry)


def bundled(folder: Path, pair: Pair, codec: str, **facts: Any) -> Path:
    """Write a bundle of a model and its projector."""
    told = {"facts": facts} if facts else {}
    eyes = section(codec, pair.projector, name="projector", kind="projector", **told)
    return Path(bundles.write(folder / "chat", [section("stored", pair.model), eyes]))


def content(found: ProjectorFile) -> bytes:
    with found.opened(Options()) as (fd, offset):
        return os.pread(fd, found.size, offset)


@pytest.mark.parametrize("codec", ["stored", "planes"])
def test_it_is_found_in_the_models_bundle(tmp_path: Path, pair: Pair, codec: str) -> None:
    model = model_file.open_file(bundled(tmp_path, pair, codec))
    joined = model_file.with_projector(model, Options())

    assert joined.projector
    assert (codec != "stored") == joined.projector.compressed
    assert pair.projector.read_bytes() == content(joined.projector)
    assert model.beside < joined.beside
    assert model_file.with_projector(model, Options(mmproj_auto=False)).projector is None


@pytest.mark.parametrize("codec", ["stored", "planes"])
def test_what_its_facts_tell_is_not_read(tmp_path: Path, pair: Pair, codec: str) -> None:
    told = {"type": "mlp", "sees": True, "hears": True, "width": 64, "buffers": 1000}
    model = model_file.open_file(bundled(tmp_path, pair, codec, **told))
    found = model_file.with_projector(model, Options()).projector

    assert found
    assert Traits("mlp", True, True, 64, 1000) == found.traits  # its header says it hears nothing
    assert pair.projector.stat().st_size + 1000 == found.needed


def test_facts_that_do_not_tell_all_are_read_from_its_header(tmp_path: Path, pair: Pair) -> None:
    model = model_file.open_file(bundled(tmp_path, pair, "planes", type="mlp", sees=True))
    found = model_file.with_projector(model, Options()).projector

    assert found
    assert (False, 64) == (found.traits.hears, found.traits.width)


def test_one_that_is_named_wins(tmp_path: Path, pair: Pair) -> None:
    model = model_file.open_file(bundled(tmp_path, pair, "stored"))
    other = write_projector(tmp_path / "other.gguf", seed=1)
    for path in (other, bundled(tmp_path, replace(pair, projector=other), "planes")):
        found = model_file.with_projector(model, Options(mmproj=str(path))).projector
        assert found
        assert other.read_bytes() == content(found)


def test_a_model_in_a_file_has_none_unless_named(pair: Pair) -> None:
    model = model_file.open_file(pair.model)

    assert model_file.with_projector(model, Options()).projector is None
    named = model_file.with_projector(model, Options(mmproj=str(pair.projector))).projector
    assert named
    assert pair.projector.read_bytes() == content(named)


def test_one_that_does_not_fit_is_refused(tmp_path: Path, pair: Pair) -> None:
    wide = write_projector(tmp_path / "wide.gguf", width=128)
    model = model_file.open_file(bundled(tmp_path, replace(pair, projector=wide), "planes"))

    with pytest.raises(GGUFError, match=r"the projector in .* does not fit the model in "):
        model_file.with_projector(model, Options())


def test_a_program_without_one_is_named(tmp_path: Path, pair: Pair) -> None:
    path = bundles.write(tmp_path / "chat", [section("stored", pair.model)])
    with pytest.raises(GGUFError, match="has no projector in it"):
        projector_file.open_file(path)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "cut"])
def test_no_descriptor_is_left(tmp_path: Path, pair: Pair, kind: str) -> None:
    path = tmp_path / "it.gguf"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "cut":
        path.write_bytes(pair.projector.read_bytes()[:-100])
    before = os.listdir("/proc/self/fd")

    with pytest.raises(AppError) as refused:
        projector_file.open_file(path)
    assert len(before) == len(os.listdir("/proc/self/fd"))
    assert refused.type is (GGUFError if kind == "cut" else UsageError)
