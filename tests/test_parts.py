"""Verifying the parts of a bundle, and taking them back out."""

from __future__ import annotations

import os
from pathlib import Path

import bundles
import pytest

from runtime import parts, payload
from runtime.errors import PayloadError

MODEL = b"GGUF and much more" * 1000
FORMS = {"stored": bundles.stored(MODEL), "zstd": bundles.zstd(MODEL, frame=5000)}


@pytest.fixture(params=FORMS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    facts = {"file": "ada.gguf"}
    return bundles.write(folder / "chat", [FORMS[request.param]], manifest={"model": facts})


def test_sound_parts_are_intact(path: Path) -> None:
    parts.verify(payload.load(path))


def test_damaged_part_is_named(path: Path) -> None:
    with open(path, "r+b") as file:
        os.pwrite(file.fileno(), b"\xff\xff", (2 << 20) + 50)

    with pytest.raises(PayloadError, match="part 'model'"):
        parts.verify(payload.load(path))


def test_part_comes_back_under_its_own_name(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert "ada.gguf: 18 kB" == parts.extract(payload.load(path), "model")
    assert MODEL == (tmp_path / "ada.gguf").read_bytes()


def test_part_comes_back_under_a_given_name(path: Path, tmp_path: Path) -> None:
    parts.extract(payload.load(path), "model", tmp_path / "other")

    assert MODEL == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize(
    "name", ["../up", "/up", "a/../../up", "..", ".", "/", "", "a\0b", "a\nb", "\x1b[2J",
             "x" * 300, 7, ["up"]],
)  # fmt: skip
def test_name_of_a_stranger_stays_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: object
) -> None:
    bundle = bundles.write(tmp_path / "chat", [FORMS["stored"]], manifest={"model": {"file": name}})
    folder = tmp_path / "below" / "folder"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    parts.extract(payload.load(bundle), "model")

    (made,) = folder.iterdir()
    assert made.name.isprintable()
    assert MODEL == made.read_bytes()
    assert ["folder"] == os.listdir(tmp_path / "below")
