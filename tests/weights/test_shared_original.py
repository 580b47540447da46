"""The original of a compressed section that several processes share."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import bundles
import pytest

from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.errors import PayloadError
from runtime.weights.shared_original import SharedOriginal

MODEL = random.Random(1).randbytes(200_000)
FORM = bundles.planes(*(bundles.chunk(MODEL[at : at + 50_000]) for at in range(0, 200_000, 50_000)))


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    found = bundle_file.load(bundles.write(tmp_path / "chat", [FORM]))
    yield found
    found.close()


def shared_of(bundle: Bundle) -> SharedOriginal:
    return SharedOriginal(bundle, bundle.section("model"), processes=2, threads=2)


def held(shared: SharedOriginal) -> int:
    """Return the bytes of memory that it takes."""
    return 512 * os.fstat(shared.fd).st_blocks


def in_child(shared: SharedOriginal, number: int, *steps: str) -> None:
    """Do steps in another process, to their end."""
    child = os.fork()
    if not child:
        code = 1
        try:
            shared.belongs_to(number)
            for step in steps:
                getattr(shared, step)()
            code = 0
        finally:
            os._exit(code)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_it_is_there_as_long_as_any_process_needs_it(bundle: Bundle) -> None:
    shared = shared_of(bundle)
    shared.belongs_to(0)
    assert 0 == held(shared)
    for _ in range(2):
        shared.enter()
        assert MODEL == os.pread(shared.fd, len(MODEL), 0)
        in_child(shared, 1, "enter", "leave")
        assert MODEL == os.pread(shared.fd, len(MODEL), 0)
        shared.leave()
        assert 0 == held(shared)


def test_the_last_to_leave_may_be_another(bundle: Bundle) -> None:
    shared = shared_of(bundle)
    shared.belongs_to(0)
    shared.enter()
    in_child(shared, 1, "enter")  # and ends without leaving
    shared.leave()
    assert MODEL == os.pread(shared.fd, len(MODEL), 0)
    in_child(shared, 1)  # what takes its place does not use it
    shared.enter()
    shared.leave()
    assert 0 == held(shared)


def test_it_can_be_restored_before_there_are_processes(bundle: Bundle) -> None:
    shared = shared_of(bundle)
    shared.restore()
    assert len(MODEL) <= held(shared)
    in_child(shared, 0, "enter", "leave")
    assert 0 == held(shared)


def test_damage_is_told_and_leaves_nothing(tmp_path: Path, bundle: Bundle) -> None:
    section = bundle.section("model")
    with open(bundle.path, "r+b") as file:
        file.seek(section.offset + section.length // 2)
        file.write(b"damage!!")
    shared = shared_of(bundle)
    shared.belongs_to(0)
    with pytest.raises(PayloadError):
        shared.enter()
    assert 0 == held(shared)
    in_child(shared, 1)  # nobody is kept out by the failure
