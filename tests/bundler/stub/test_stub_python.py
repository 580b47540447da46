"""A stub's Python is the compiled one; the running one stands in where that failed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundler.engine.toolchain import BuildFailed
from bundler.interpreter import environment
from bundler.stub import stub_python, third_party
from bundler.stub.stub_python import Plan
from bundler.targets import TARGETS, here

FOREIGN = next(target for target in TARGETS.values() if not target.is_here)
HERE = here()
assert HERE is not None


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no Python compiled."""

    def build(*_: object) -> None:
        raise BuildFailed("no sources")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(environment, "build", build)


def kinds(plans: list[Plan]) -> list[bool]:
    return [plan.is_compiled for plan in plans]


def test_every_requirement_in_stubs_is_pinned() -> None:
    found = {third_party.normal(line.partition("==")[0]) for line in stub_python.requirements()}

    ours = {third_party.normal(name) for name in third_party.DISTRIBUTIONS}
    assert ours - {"exceptiongroup", "llama-cpp-python", "modelembed"} == found
    assert all("==" in line and ";" not in line for line in stub_python.requirements())


@pytest.mark.usefixtures("failing")
def test_what_failed_is_not_tried_again_for_a_day() -> None:
    assert [True, False] == kinds(list(stub_python.plans(HERE)))
    best = next(stub_python.plans(HERE))
    with pytest.raises(BuildFailed, match="no sources"):
        best.prepared(print)

    assert [False] == kinds(list(stub_python.plans(HERE)))
    assert [True, False] == kinds(list(stub_python.plans(HERE, again=True)))
    past = best.failure.stat().st_mtime - stub_python.DAY
    os.utime(best.failure, (past, past))
    assert [True, False] == kinds(list(stub_python.plans(HERE)))


@pytest.mark.usefixtures("failing")
def test_nothing_stands_in_for_another_target() -> None:
    assert [True] == kinds(list(stub_python.plans(FOREIGN)))
    with pytest.raises(BuildFailed):
        next(stub_python.plans(FOREIGN)).prepared(print)
    assert [True] == kinds(list(stub_python.plans(FOREIGN)))


def test_targets_and_pythons_have_keys_of_their_own() -> None:
    plans = [*stub_python.plans(HERE, again=True), *stub_python.plans(FOREIGN)]

    assert 3 == len({plan.key for plan in plans})


def test_only_our_own_code_is_staged(tmp_path: Path) -> None:
    root = tmp_path / "site-packages"
    for name in ("runtime", "bundler", "numpy"):
        (root / name / "__pycache__").mkdir(parents=True)
        (root / name / "module.py").write_text("")

    staged = stub_python.stage(root, tmp_path / "staged")

    assert {"bundler", "runtime"} == {path.name for path in staged.iterdir()}
    assert ["module.py"] == [path.name for path in (staged / "runtime").iterdir()]
