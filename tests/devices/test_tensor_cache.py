"""The folder where a worker keeps tensors: its limit, and which of them go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.devices import tensor_cache
from runtime.errors import CacheError


@pytest.fixture
def kept(clean_home: Path) -> Path:
    tensor_cache.prepare()
    for number in range(4):
        path = tensor_cache.folder() / f"{number}"
        path.write_bytes(bytes(100))
        os.utime(path, (1000 + number, 1000 + number))
    return tensor_cache.folder()


def test_its_folder_is_the_users_alone(kept: Path) -> None:
    assert 0o700 == kept.stat().st_mode & 0o777


def test_nothing_goes_while_there_is_room(kept: Path) -> None:
    assert 200 == tensor_cache.make_room(600)
    assert 4 == len(list(kept.iterdir()))


def test_the_oldest_go_first(kept: Path) -> None:
    # Three quarters of 300 are for what was there.
    assert 100 == tensor_cache.make_room(300)
    assert {"2", "3"} == {path.name for path in kept.iterdir()}


def test_a_folder_that_cannot_be_made_is_said(
    clean_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean_home / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(clean_home / "file"))

    with pytest.raises(CacheError, match="tensors cannot be kept in"):
        tensor_cache.prepare()
