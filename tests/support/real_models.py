"""Real embedding models, made of packages of the package index where that can be reached."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import embedders


def real_embedder(name: str) -> Path:
    """Return a real embedding model as a GGUF: `minilm` or `e5`; skip the test without one."""
    try:
        return embedders.embedder(name)
    except subprocess.CalledProcessError:
        pytest.skip(f"the package with {name} cannot be had")
