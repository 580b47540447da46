"""Where a model's bytes come from: a GGUF, a section, a section that is compressed."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import bundles
import ggufs
import open_files
import pytest

from runtime.container import bundle_file
from runtime.errors import AppError, GGUFError, MemoryShortage, ModelError
from runtime.host import resources
from runtime.model import model_file
from runtime.options.registry import Options


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = ggufs.write_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf", weight_type="Q8_0")
    return Path(path)


def test_gguf(tiny: Path) -> None:
    source = model_file.open_file(tiny)

    assert (0, tiny.stat().st_size, False) == (source.offset, source.size, source.compressed)
    assert "llama" == source.header.architecture
    os.close(source.fd)


@pytest.mark.parametrize(
    ("flags", "copies"), [({}, 3), ({"repack": False}, 1), ({"repack": False, "mmap": False}, 3)]
)
def test_processes_plan_once_and_for_all(
    tiny: Path, flags: dict[str, bool], copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = model_file.open_file(tiny)
    options = Options(ctx_size=512, **flags)
    monkeypatch.setattr(resources, "available_memory", lambda: 1 << 40)
    alone = source.plan(options)
    shared = source.planned_for(options, 3)

    assert copies * source.size + 3 * (alone.needed - source.size) == shared.plan(options).needed
    monkeypatch.setattr(resources, "available_memory", lambda: 0)  # the others run by now
    assert 512 == shared.plan(options).context
    with pytest.raises(MemoryShortage):
        source.plan(options)
    os.close(source.fd)


def section(codec: str, data: bytes, size: int = 1 << 20) -> bundles.Part:
    """Return a section of each codec, compressed in pieces of `size` bytes."""
    if codec == "stored":
        return bundles.stored(data)
    if codec == "zstd":
        return bundles.zstd(data, frame=size)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return bundles.planes(*(bundles.chunk(p, 255 if len(p) % 4 else 0) for p in pieces))


CODECS = ["stored", "planes", "zstd"]


@pytest.mark.parametrize("codec", CODECS)
def test_bundle(tiny: Path, tmp_path: Path, codec: str) -> None:
    data = tiny.read_bytes()
    source = model_file.open_file(bundles.write(tmp_path / "chat", [section(codec, data)]))

    assert (2 << 20, len(data)) == (source.offset, source.size)
    assert (codec != "stored") == source.compressed
    assert "llama" == source.header.architecture
    assert 512 == source.header.hyper("context_length")
    assert source.label.startswith("the model in ")
    os.close(source.fd)


@pytest.mark.parametrize("codec", CODECS)
def test_the_file_beside_a_program(tiny: Path, tmp_path: Path, codec: str) -> None:
    """With nothing in front of it, a stored model makes the whole file look like a GGUF."""
    data = tiny.read_bytes()
    path = bundles.write(tmp_path / "chat.payload", [section(codec, data)], launcher=b"")
    source = model_file.open_file(path)

    assert (0, len(data)) == (source.offset, source.size)
    assert source.bundle and source.bundle.model
    assert source.label == f"the model in {path}"
    os.close(source.fd)


@pytest.mark.parametrize("size", [1000, 50_000, 1 << 20])
@pytest.mark.parametrize("codec", CODECS)
def test_hyperparameters_behind_a_long_tokenizer(tmp_path: Path, codec: str, size: int) -> None:
    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    words = (
        text(b"tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 100) + text(b"x" * 1000) * 100
    )
    numbers = [b"llama.context_length", b"llama.block_count"]
    pairs = [text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama"), words]
    pairs += [text(key) + struct.pack("<II", 4, 77) for key in numbers]
    data = struct.pack("<4sIQQ", b"GGUF", 3, 0, len(pairs)) + b"".join(pairs)
    source = model_file.open_file(bundles.write(tmp_path / "chat", [section(codec, data, size)]))

    assert 77 == source.header.hyper("context_length")
    os.close(source.fd)


def test_bundle_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no model in it"):
        model_file.open_file(bundles.write(tmp_path / "stub"))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("missing", ModelError, "cannot be opened: No such file"),
        (".", ModelError, "is a folder"),
        ("empty", GGUFError, "it is an empty file"),
        ("notes.txt", GGUFError, "a text"),
        ("cut.gguf", GGUFError, "is truncated"),
    ],
)
def test_what_is_no_model(
    tiny: Path, tmp_path: Path, name: str, error: type[AppError], message: str
) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("some notes")
    (tmp_path / "cut.gguf").write_bytes(tiny.read_bytes()[:530])
    with open_files.none_left(), pytest.raises(error, match=message) as caught:
        model_file.open_file(tmp_path / name)

    assert caught.value.hint


def test_section_that_is_no_model(tmp_path: Path) -> None:
    for codec in CODECS:
        part = section(codec, b"PK\3\4" + bytes(50))
        bundle = bundle_file.load(bundles.write(tmp_path / "chat", [part]))
        with pytest.raises(GGUFError, match=r"the model in .* is not a GGUF: it is a ZIP archive"):
            model_file.from_bundle(bundle)
        bundle.close()


@pytest.mark.parametrize(
    "part",
    [bundles.coded_as(b"", b""), bundles.coded_as(b"x" * 50, b"hello"), bundles.zstd(b""),
     bundles.stored(b""), bundles.planes(), bundles.planes_as(b"", b""),
     bundles.planes_as(b"x" * 50, b"hello"), bundles.planes(bundles.chunk(b"GG")),
     bundles.planes(bundles.chunk(b"GGUF" + bytes(60), xxh3=bytes(16)))],
    ids=["nothing", "noise", "no frames", "empty", "no chunks", "nothing in planes",
         "noise in planes", "two bytes", "another hash"],
)  # fmt: skip
def test_section_that_is_damaged(tmp_path: Path, part: bundles.Part) -> None:
    bundle = bundle_file.load(bundles.write(tmp_path / "chat", [part]))
    with pytest.raises(AppError):
        model_file.from_bundle(bundle)
    bundle.close()
