"""How a stored model is opened for the engine."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from paths import DEMO

from runtime.model import loader, model_file
from runtime.options.registry import Options
from runtime.weights.stdio_file import EndingFile, RangeFile

SIZE = 1000


@pytest.mark.parametrize(
    ("before", "behind", "mmap", "kind", "mappable"),
    [
        (SIZE, 0, True, RangeFile, True),  # it ends where the file does
        (SIZE, 1, True, EndingFile, True),
        (SIZE, 1, False, RangeFile, True),  # it is read, by the system's own calls
        (loader.FAR * SIZE, 1, True, EndingFile, True),
        (loader.FAR * SIZE + 1, 1, True, RangeFile, False),  # so much would be mapped with it
    ],
)
def test_no_more_is_mapped_than_pays(
    tmp_path: Path,
    before: int,
    behind: int,
    mmap: bool,
    kind: type[RangeFile | EndingFile],
    mappable: bool,
) -> None:
    path = tmp_path / "chat"
    path.write_bytes(bytes(before) + os.urandom(SIZE) + bytes(behind))
    with open(path, "rb") as opened:
        source = dataclasses.replace(
            model_file.open_file(DEMO), fd=opened.fileno(), offset=before, size=SIZE
        )
        with loader.open_stored(source, Options(mmap=mmap)) as file:
            assert kind is type(file)
            assert mappable == file.mappable
