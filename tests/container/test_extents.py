"""Bytes to be bundled: reading and copying ranges, holes included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.container.extents import Extent, Extents
from runtime.errors import PayloadError
from runtime.host.atomic_write import publish

TEXT = bytes(range(256)) * 4


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "model"
    path.write_bytes(TEXT)
    number = os.open(path, os.O_RDONLY)
    yield number
    os.close(number)


def copied(source: Extents, folder: Path, before: bytes = b"") -> bytes:
    """Return what a copy of `source` appends to a file."""
    path = folder / "out"
    path.write_bytes(before)
    with open(path, "r+b", buffering=0) as out:
        out.seek(0, os.SEEK_END)
        source.copy_to(out.fileno())
        assert len(before) + source.size == out.tell()
    found = path.read_bytes()
    assert before == found[: len(before)]
    return found[len(before) :]


def test_parts_read_like_one_file(fd: int, tmp_path: Path) -> None:
    source = Extents([b"head", Extent(fd, 10, 5), b"", b"pad", Extent(fd, 0, 2), Extent(fd, 9, 0)])
    whole = b"head\x0a\x0b\x0c\x0d\x0epad\x00\x01"

    assert len(whole) == source.size
    assert whole == source.read(0, 1000) == b"".join(source.chunks())
    assert [whole[i : i + 6] for i in range(16)] == [source.read(i, 6) for i in range(16)]
    assert whole == copied(source, tmp_path)
    assert whole == copied(source, tmp_path, b"something before")


def test_nothing_is_something(tmp_path: Path) -> None:
    assert b"" == Extents([]).read(0, 5) == copied(Extents([]), tmp_path)
    assert [] == list(Extents([]).chunks())


PIECES = st.lists(
    st.binary(max_size=20) | st.tuples(st.integers(0, 1000), st.integers(0, 24)), max_size=6
)


@given(PIECES, st.integers(0, 100), st.integers(0, 100))
@settings(deadline=None)
def test_any_range_of_any_parts(
    pieces: list[bytes | tuple[int, int]], offset: int, length: int
) -> None:
    fd = os.memfd_create("test")
    try:
        os.write(fd, TEXT)
        whole = b"".join(p if isinstance(p, bytes) else TEXT[p[0] : sum(p)] for p in pieces)
        source = Extents([p if isinstance(p, bytes) else Extent(fd, *p) for p in pieces])

        assert whole[offset : offset + length] == source.read(offset, length)
    finally:
        os.close(fd)


def sparse(path: Path) -> int:
    """Write a file of 64 MiB with data at 8 MiB and at 40 MiB and nothing else."""
    with open(path, "wb") as file:
        for place in (8 << 20, 40 << 20):
            file.seek(place)
            file.write(TEXT)
        file.truncate(64 << 20)
    return os.open(path, os.O_RDONLY)


def test_holes_stay_holes(tmp_path: Path) -> None:
    fd = sparse(tmp_path / "model")
    if os.fstat(fd).st_blocks * 512 > 1 << 20:
        pytest.skip("this file system knows no holes")
    steps: list[int] = []
    with open(tmp_path / "out", "wb", buffering=0) as out:
        out.write(b"head")
        Extents([Extent(fd, 0, 64 << 20)]).copy_to(out.fileno(), steps.append)
    os.close(fd)
    found = tmp_path / "out"

    assert (64 << 20) + 4 == found.stat().st_size
    assert found.stat().st_blocks * 512 < 1 << 20
    assert sorted(steps) == steps
    assert 64 << 20 == steps[-1]
    with open(found, "rb") as file:
        for place in (8 << 20, 40 << 20):
            file.seek(place + 4)
            assert TEXT == file.read(len(TEXT))


def test_part_of_a_hole(tmp_path: Path) -> None:
    fd = sparse(tmp_path / "model")
    start = (8 << 20) - 10
    source = Extents([Extent(fd, start, 20), Extent(fd, 1000, 5), b"!"])

    assert bytes(10) + TEXT[:10] + bytes(5) + b"!" == source.read(0, 100)
    assert bytes(10) + TEXT[:10] + bytes(5) + b"!" == copied(source, tmp_path)
    os.close(fd)


def test_copy_to_another_file_system(fd: int) -> None:
    # The kernel refuses to copy by itself from a disk to a file in memory.
    out = os.memfd_create("test")
    Extents([Extent(fd, 3, 500)]).copy_to(out)

    assert TEXT[3:503] == os.pread(out, 1000, 0)
    os.close(out)


def test_file_that_becomes_shorter_is_noticed_when_read(fd: int) -> None:
    with pytest.raises(PayloadError, match="became shorter"):
        Extents([Extent(fd, 1000, 100)]).read(0, 100)


@pytest.mark.parametrize("offset", [1000, 5000])
def test_file_that_becomes_shorter_is_noticed_when_copied(
    fd: int, tmp_path: Path, offset: int
) -> None:
    # What is missing must not become a hole.
    with pytest.raises(PayloadError, match="became shorter"):
        copied(Extents([Extent(fd, offset, 100)]), tmp_path)


def test_a_model_that_cannot_be_read_is_to_blame_itself(tmp_path: Path) -> None:
    """Not the file that is written, which publish() takes the system to mean."""
    folder = os.open(tmp_path, os.O_RDONLY)  # opens, and cannot be read
    try:
        source = Extents([Extent(folder, 0, 10)])
        with pytest.raises(PayloadError, match="the model file cannot be read: Is a directory"):
            source.read(0, 10)
        with (
            pytest.raises(PayloadError, match="the model file cannot be read: Is a directory"),
            publish(tmp_path / "chat", force=False) as out,
        ):
            source.copy_to(out)
    finally:
        os.close(folder)
