"""What fails leaves no file open."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import bundles
import open_files
import pytest
from adapters import write_adapter
from paths import DEMO

from bundler.model import split_files
from runtime.commands.bundles import edit
from runtime.commands.bundles.edit import Change
from runtime.container import bundle_file, lora_sections, section_io
from runtime.errors import AppError
from runtime.model import model_file
from runtime.weights import decompress
from runtime.weights.stdio_file import RangeFile

LYING = bundles.planes(bundles.chunk(b"not what it says", xxh3=bytes(16)))


def adapter(path: Path) -> None:
    with section_io.adapter(path, "llama"):
        pass


def open_adapter(path: Path) -> None:
    with lora_sections.open_adapter(None, str(path)):
        pass


OPENERS: dict[str, Callable[[Path], object]] = {
    "an adapter to be bundled": adapter,
    "an adapter to be used": open_adapter,
    "a model": model_file.open_file,
    "a model to be bundled": split_files.open_file,
    "a program": bundle_file.load,
    "a runtime": bundle_file.load_runtime,
}
FILES: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "text": lambda path: path.write_text("some notes"),
    "cut": lambda path: path.write_bytes(DEMO.read_bytes()[:530]),
    "no model": lambda path: bundles.write(path, footer={"pkg_length": 0, "pkg_offset": 1 << 12}),
    "lying": lambda path: bundles.write(path, [LYING], manifest={"format": 7}),
    "damaged model": lambda path: bundles.write(path, [LYING]),
}


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_refused_is_closed(tmp_path: Path, opener: str, kind: str) -> None:
    FILES[kind](tmp_path / "file")
    with open_files.none_left():
        try:
            found = OPENERS[opener](tmp_path / "file")
        except AppError as exc:
            assert exc.hint
        else:  # of some use to this one
            assert isinstance(found, bundle_file.Bundle)
            found.close()


@pytest.mark.parametrize("size", [-1, 1 << 62])
@pytest.mark.parametrize("memfd", [True, False])
def test_a_copy_that_finds_no_room_is_closed(size: int, memfd: bool) -> None:
    with open_files.none_left():
        try:
            os.close(decompress._target(size, memfd)[0])
        except (AppError, OSError) as exc:
            assert str(exc)


def test_a_stream_that_cannot_be_opened_is_closed() -> None:
    fd = os.open(DEMO, os.O_RDONLY)
    with (
        open_files.none_left(),
        pytest.raises(AppError, match="cannot be opened: Invalid argument"),
    ):
        RangeFile(fd, -1)
    os.close(fd)
    with open_files.none_left(), pytest.raises(AppError, match="cannot be opened: No such file"):
        RangeFile(fd, 0)


@pytest.mark.parametrize("call", ["ftruncate", "fsync", "copy_file_range", "pread"])
def test_an_edit_that_fails_closes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Wherever the disk fails: the program is as it was, and nothing is left beside it."""
    added = write_adapter(tmp_path / "pirate.gguf")
    path = bundles.write(tmp_path / "chat", [bundles.stored(DEMO.read_bytes())])
    before = path.read_bytes()
    bundle = bundle_file.load(path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_files.none_left(), contextlib.suppress(AppError), monkeypatch.context() as patch:
        if call == "pread":  # where blocks cannot be shared
            patch.setattr(os, "copy_file_range", full)
        if call == "copy_file_range":
            patch.setattr(os, "write", full)
        patch.setattr(os, call, full)
        edit.write_edited(bundle, path, Change(name="Other", add={added: 1.0}), tool="test")
    bundle.close()

    assert before == path.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["chat", "pirate.gguf"]


def test_an_adapter_is_closed_when_it_is_written(tmp_path: Path) -> None:
    added = write_adapter(tmp_path / "pirate.gguf")
    path = bundles.write(tmp_path / "chat", [bundles.stored(DEMO.read_bytes())])
    bundle = bundle_file.load(path)
    with open_files.none_left():
        edit.write_edited(bundle, path, Change(add={added: 1.0}), tool="test")
    bundle.close()

    with contextlib.closing(bundle_file.load(path)) as edited:
        assert ["model", "pirate"] == [section.name for section in edited.manifest.sections]
