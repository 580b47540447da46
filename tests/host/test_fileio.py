"""Files go to disk while they are made."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.host import fileio


def test_what_was_written_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with open(path, "w+b", buffering=0) as file:
        file.write(b"x" * 10_000)
        fileio.start_writing(file.fileno(), 0, 10_000)
        fileio.start_writing(
            file.fileno(), 5_000, 1 << 40
        )  # beyond its end: the kernel stops there

    assert b"x" * 10_000 == path.read_bytes()


def test_what_is_no_file_on_a_disk_is_left_alone() -> None:
    reader, writer = os.pipe()
    fileio.start_writing(writer, 0, 100)
    os.write(writer, b"all the same")
    os.close(writer)

    assert b"all the same" == os.read(reader, 100)
    os.close(reader)
