"""Warming a GPU's driver up: once, and only where it can keep what it compiles."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ggufs
import pytest

from runtime.devices.backend import Device
from runtime.devices.engine import Engine
from runtime.devices.selection import Choice
from runtime.devices.warm_up import LENGTHS, warm_up
from runtime.gguf.header import Header, parse_header
from runtime.model import engine_build
from runtime.model.cpu_variants import Selection
from runtime.options.registry import Options

GPU = Device("Vulkan0", "Radeon", integrated=False)


def lengths(header: Header, said: list[str]) -> list[int]:
    """Warm up, and return how many tokens were computed at a time."""
    found: list[int] = []
    scheduler: Any = SimpleNamespace(
        context_size=1024, options=Options(), generates=True, model=SimpleNamespace(vocab_size=99),
        compute=lambda tokens: found.append(len(tokens)),
    )  # fmt: skip
    engine = Engine(Selection("x64", Path("x64.so")), Choice(), [(GPU, 1)])
    warm_up(scheduler, header, engine, said.append)
    return found


@pytest.fixture
def header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Header:
    monkeypatch.setattr(engine_build, "build_identity", lambda: "a build")
    path = ggufs.write_model(tmp_path / "model.gguf")
    return parse_header(path.read_bytes(), label=path.name)


def test_all_is_computed_once_the_longest_first(
    header: Header, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said: list[str] = []

    assert sorted({512, *LENGTHS}, reverse=True) == lengths(header, said)
    assert [] == lengths(header, said)
    assert 1 == len(said)


def test_nothing_is_computed_where_nothing_can_be_kept(
    header: Header, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    said: list[str] = []

    assert [] == lengths(header, said)
    assert [] == said
