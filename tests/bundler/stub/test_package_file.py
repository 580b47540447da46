"""PyInstaller's archive: what is not changed stays, and damage is told."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from PyInstaller.archive.readers import CArchiveReader
from PyInstaller.archive.writers import CArchiveWriter

from bundler.stub.package_file import Package
from runtime.container.layout import COOKIE, COOKIE_MAGIC
from runtime.errors import FormatError


@pytest.fixture
def written(tmp_path: Path) -> bytes:
    """Return an archive as PyInstaller writes it, behind a launcher."""
    (tmp_path / "plain").write_bytes(b"plain")
    (tmp_path / "packed").write_bytes(b"packed" * 100)
    path = tmp_path / "archive"
    entries = [
        ("pyi-python-flag", "", False, "o"),
        ("folder/plain.so", str(tmp_path / "plain"), False, "b"),
        ("packed.txt", str(tmp_path / "packed"), True, "x"),
    ]
    CArchiveWriter(str(path), entries, "libpython3.13.so.1.0")
    return b"the launcher" + path.read_bytes()


def test_archive_read_and_written_is_the_same(written: bytes) -> None:
    package = Package.parse(written)

    assert written == b"the launcher" + package.pack()
    assert ["pyi-python-flag", "folder/plain.so", "packed.txt"] == [e.name for e in package.entries]
    assert [b"", b"plain", b"packed" * 100] == [e.data for e in package.entries]


def test_pyinstaller_reads_an_entry_that_was_exchanged(written: bytes, tmp_path: Path) -> None:
    changed = Package.parse(written).mapped(
        lambda entry: (
            entry.with_data(f"new-{entry.name}", b"longer " + entry.data)
            if entry.type != b"o"
            else entry
        )
    )
    path = tmp_path / "changed"
    path.write_bytes(changed.pack())

    reader = CArchiveReader(str(path))

    assert b"longer plain" == reader.extract("new-folder/plain.so")
    assert b"longer " + b"packed" * 100 == reader.extract("new-packed.txt")
    assert ["pyi-python-flag"] == reader.options


@pytest.mark.parametrize("length", (0, 10, 60))
def test_file_without_an_archive_is_refused(written: bytes, length: int) -> None:
    with pytest.raises(FormatError):
        Package.parse(written[:length])


def test_table_beyond_the_archive_is_refused() -> None:
    with pytest.raises(FormatError):
        Package.parse(COOKIE.pack(COOKIE_MAGIC, COOKIE.size, 1 << 30, 16, 313, b""))


def test_entry_is_compressed_again(written: bytes) -> None:
    packed = Package.parse(written).entries[2]

    assert b"other" == zlib.decompress(packed.with_data("packed.txt", b"other").stored)
