"""Prewarmed state of a bundle: what it may take."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bundles
import pytest

from runtime.container import bundle_file
from runtime.dialogue import prefix_cache
from runtime.errors import AppError


def test_a_state_that_memory_cannot_hold_is_not_restored(tmp_path: Path) -> None:
    head = json.dumps({"key": {}, "tokens": [1, 2]}).encode() + b"\n"
    state = bundles.petabyte(head, name="beginning", kind="state")
    engine: Any = SimpleNamespace(context_size=100)
    with (
        contextlib.closing(bundle_file.load(bundles.write(tmp_path / "x", [state]))) as bundle,
        pytest.raises(AppError, match=r"it takes 1342.2 GB of memory, .* are free"),
    ):
        prefix_cache.load(bundle, engine, {}, [1, 2, 3], threads=1)
