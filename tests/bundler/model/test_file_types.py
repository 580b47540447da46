"""Names of mixes of tensor types: those of the package `gguf`."""

from __future__ import annotations

import pytest
from gguf import LlamaFileType

from bundler.model.file_types import FILE_TYPES, GUESSED, file_type_name


def test_all_are_known() -> None:
    theirs = {
        kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")
        for kind in LlamaFileType
        if kind is not LlamaFileType.GUESSED
    }
    assert theirs == FILE_TYPES
    assert GUESSED == LlamaFileType.GUESSED


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (15, "Q4_K_M"),
        (15 | GUESSED, "Q4_K_M"),
        (0, "F32"),
        (-1, ""),
        (9999, ""),
        ("15", ""),
        (None, ""),
    ],
)
def test_name(number: object, name: str) -> None:
    assert name == file_type_name(number)
