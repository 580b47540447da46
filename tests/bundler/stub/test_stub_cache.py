"""Which stubs stay in the cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundler.stub import stub_cache
from runtime.errors import AppError


@pytest.fixture(autouse=True)
def folder(clean_home: Path) -> Path:
    stub_cache.require_writable()
    return stub_cache.path_of("x").parent


def made(name: str, age: int) -> Path:
    """Return a stub made that many seconds ago."""
    path = stub_cache.path_of(name)
    path.write_text(name)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def kept(folder: Path) -> set[str]:
    return {path.name.removeprefix("stub-") for path in folder.iterdir()}


def test_those_not_used_for_longest_go(folder: Path) -> None:
    names = [f"0.1.0-{age}" for age in range(6)]
    stubs = [made(name, age * 100) for age, name in enumerate(names)]
    stub_cache.note_use(stubs[5])  # the oldest
    stub_cache.evict()

    assert {*names[:3], names[5], f"{names[5]}.used"} == kept(folder)


def test_nothing_is_left_of_one_that_goes(folder: Path) -> None:
    gone = made("gone", 10)
    stub_cache.note_use(gone)
    gone.unlink()
    for age in range(stub_cache.KEPT):
        stub_cache.note_use(made(f"{age}", age))
    old = made("old", 1000)
    stub_cache.note_use(old)
    os.utime(f"{old}.used", (1, 1))
    stub_cache.evict()

    found = {f"{age}" for age in range(stub_cache.KEPT)}
    assert found | {f"{name}.used" for name in found} == kept(folder)


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("a file")
    with pytest.raises(AppError, match=r"the runtime is kept in .*stubs, which cannot be written"):
        stub_cache.require_writable()
