"""What is remembered of files, hashes and the engine's findings, and when it may be believed."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import ggufs
import misfits
import pytest

from bundler import file_cache
from bundler.model import lint
from bundler.packing import source_hash
from runtime.container.extents import Extent, Extents
from runtime.errors import GGUFError


@pytest.fixture
def model(tmp_path: Path, clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(file_cache, "SETTLED", 0.05)
    path = tmp_path / "model"
    path.write_bytes(b"weights" * 1000)
    time.sleep(0.1)
    return path


def hashed(path: Path, **extent: int) -> str:
    with open(path, "rb") as file:
        part = Extent(file.fileno(), extent.get("offset", 0), extent.get("length", 7000))
        with source_hash.hashing(Extents([part])) as result:
            return result()


def remembered(clean_home: Path) -> dict[str, str]:
    path = clean_home / "cache" / "modelembed" / "known.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def lie(clean_home: Path, answer: str = "f" * 64) -> None:
    """Replace what is remembered, so that a test sees whether it was believed."""
    path = clean_home / "cache" / "modelembed" / "known.json"
    path.write_text(json.dumps(dict.fromkeys(remembered(clean_home), answer)))


def test_it_is_the_sha256(model: Path) -> None:
    assert hashlib.sha256(model.read_bytes()).hexdigest() == hashed(model)


def test_a_file_left_alone_is_hashed_once(model: Path, clean_home: Path) -> None:
    hashed(model)
    lie(clean_home)

    assert "f" * 64 == hashed(model)


@pytest.mark.parametrize("change", ["content", "times taken back", "another file"])
def test_a_changed_file_is_hashed_again(model: Path, clean_home: Path, change: str) -> None:
    hashed(model)
    lie(clean_home)
    before = model.stat()
    if change == "another file":
        model.with_suffix(".new").write_bytes(b"changed" * 1000)
        model.with_suffix(".new").replace(model)
    else:
        model.write_bytes(b"changed" * 1000)
    if change == "times taken back":
        os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert hashlib.sha256(b"changed" * 1000).hexdigest() == hashed(model)


def test_a_file_written_just_now_is_not_remembered(
    model: Path, clean_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "SETTLED", 60.0)

    hashed(model)

    assert {} == remembered(clean_home)


def test_a_part_of_a_file_is_not_remembered(model: Path, clean_home: Path) -> None:
    hashed(model, offset=7, length=70)

    assert {} == remembered(clean_home)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}'])
def test_a_damaged_memory_is_no_memory(model: Path, clean_home: Path, text: str) -> None:
    hashed(model)
    (clean_home / "cache" / "modelembed" / "known.json").write_text(text)

    assert hashlib.sha256(model.read_bytes()).hexdigest() == hashed(model)


def findings(stub: Path, model: Path, chat_template: str = "") -> lint.EngineFindings:
    opened = lint.preflight(model)
    try:
        return lint.ask_engine(stub, opened, chat_template)
    finally:
        for part in opened:
            os.close(part.fd)


def test_the_engine_is_asked_once(stub: Path, model: Path, clean_home: Path) -> None:
    ggufs.write_model(model)
    time.sleep(0.1)
    assert findings(stub, model) == lint.EngineFindings()
    lie(clean_home, "missing")

    assert "no chat template" in findings(stub, model).warnings[0]  # believed
    assert findings(stub, model, "llama2") == lint.EngineFindings()  # another question

    ggufs.write_model(model)
    time.sleep(0.1)
    assert findings(stub, model) == lint.EngineFindings()  # another file

    lie(clean_home, "nonsense")
    assert findings(stub, model) == lint.EngineFindings()


def test_what_the_engine_refuses_it_is_asked_again(
    stub: Path, model: Path, clean_home: Path
) -> None:
    misfits.raising_template(model)
    time.sleep(0.1)
    for _ in range(2):
        with pytest.raises(GGUFError, match="does not render"):
            findings(stub, model)

    assert {} == remembered(clean_home)
