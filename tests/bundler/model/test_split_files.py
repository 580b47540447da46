"""Merging split models: every tensor as it was, or a sentence about what is missing."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import ggufs
import pytest

from bundler.model import split_files
from runtime.errors import GGUFError
from runtime.gguf.header import Header, read_header


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model and the same model in three parts."""
    folder = tmp_path_factory.mktemp("split")
    ggufs.split_model(ggufs.write_model(folder / "m.gguf", weight_type="Q4_0"), 3)
    return folder


def part(folder: Path, number: int) -> Path:
    return folder / f"m-0000{number}-of-00003.gguf"


def merge(path: Path) -> bytes:
    source = split_files.merged(split_files.parts(split_files.open_file(path)))
    return source.read(0, source.size)


def header(data: bytes) -> Header:
    fd = os.memfd_create("test")
    try:
        os.write(fd, data)
        return read_header(fd, len(data), label="merged")
    finally:
        os.close(fd)


def refusal(path: Path) -> str:
    with pytest.raises(GGUFError) as caught:
        merge(path)
    assert caught.value.hint
    return caught.value.problem


def contents(data: bytes) -> dict[str, tuple[tuple[int, ...], int, bytes]]:
    """Return shape, type and bytes of every tensor of a GGUF."""
    read = header(data)
    return {
        t.name: (t.shape, t.type, data[read.data_offset + t.offset :][: t.size])
        for t in read.tensors
    }


@pytest.mark.parametrize("number", [1, 2, 3])
def test_merged_parts_are_the_whole_model(folder: Path, number: int) -> None:
    whole, merged = (folder / "m.gguf").read_bytes(), merge(part(folder, number))

    assert contents(whole) == contents(merged)
    assert header(whole).metadata == header(merged).metadata
    assert header(merged).end <= len(merged) < header(merged).end + 32


def test_model_that_is_not_split_is_itself(folder: Path) -> None:
    assert (folder / "m.gguf").read_bytes() == merge(folder / "m.gguf")


def test_missing_parts_are_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / part(folder, 2).name
    copy.write_bytes(part(folder, 2).read_bytes())

    assert (
        f"{copy} is one of 3 parts of a split model; missing beside it: m-00001-of-00003.gguf, "
        "m-00003-of-00003.gguf" == refusal(copy)
    )


def test_renamed_part_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "renamed.gguf"
    copy.write_bytes(part(folder, 1).read_bytes())

    assert "is part 1 of 3 of a split model, but its name does not say so" in refusal(copy)


def test_swapped_part_is_named(folder: Path, tmp_path: Path) -> None:
    for here, there in ((1, 1), (2, 3), (3, 2)):
        (tmp_path / part(folder, here).name).write_bytes(part(folder, there).read_bytes())

    assert "says it is part 3 of 3, expected part 2 of 3" in refusal(part(tmp_path, 1))


def test_part_of_another_model_is_noticed(folder: Path, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / part(folder, number).name).write_bytes(part(folder, number).read_bytes())
    data = bytearray(part(folder, 3).read_bytes())
    place = data.index(b"split.tensors.count") + len("split.tensors.count") + 4
    (count,) = struct.unpack_from("<i", data, place)
    first = bytearray(part(folder, 1).read_bytes())
    place = first.index(b"split.tensors.count") + len("split.tensors.count") + 4
    struct.pack_into("<i", first, place, count + 1)
    part(tmp_path, 1).write_bytes(first)

    assert f"hold {count} tensors together, expected {count + 1}" in refusal(part(tmp_path, 1))


def number_pair(key: bytes, value: int) -> bytes:
    return struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 10, value)


@pytest.mark.parametrize("count", [1 << 40, (1 << 64) - 1])
def test_absurd_number_of_parts_is_refused_at_once(tmp_path: Path, count: int) -> None:
    path = tmp_path / "m-00001-of-00003.gguf"
    pairs = number_pair(b"split.count", count) + number_pair(b"split.no", 0)
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 2) + pairs)

    # In a process of its own, with little memory: a list that long would take all there is.
    code = (
        "import pathlib, resource, sys; from bundler.model import split_files\n"
        "resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))\n"
        "try: split_files.parts(split_files.open_file(pathlib.Path(sys.argv[1])))\n"
        "except split_files.GGUFError as exc: print(exc.problem)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=False
    )

    assert "" == done.stderr
    assert "split" in done.stdout


def test_tensor_of_an_unknown_size_is_not_dropped(folder: Path, tmp_path: Path) -> None:
    """A type newer than our table may suit the engine; how much to copy is then unknown."""
    for number in (1, 2, 3):
        data = bytearray(part(folder, number).read_bytes())
        tensor = header(bytes(data)).tensors[0]
        place = data.index(tensor.name.encode()) + len(tensor.name) + 4 + 8 * len(tensor.shape)
        struct.pack_into("<I", data, place, 99)
        part(tmp_path, number).write_bytes(data)

    assert "type 99" in refusal(part(tmp_path, 1))
