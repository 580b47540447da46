"""Inputs that are tried: made up from a seed, and those that once were a finding."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from fuzz.child import Child, Finding
from fuzz.target import Target

FOLDER = Path(__file__).parent / "corpus"
BATCH = 500


def search(
    name: str, target: Target, child: Child, *, seed: int, end: float = float("inf")
) -> tuple[int, tuple[bytes, Finding] | None]:
    """Try a batch; return how many inputs were tried, and the smallest that was a finding.

    The same `seed` makes up the same inputs.
    """
    tried = 0
    last: list[tuple[bytes, Finding]] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=BATCH, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink),
    )  # fmt: skip
    @given(target.mutate(target.seeds()))
    def attempt(data: bytes) -> None:
        nonlocal tried
        if last and last[0][1].slow:  # nothing smaller is looked for
            if data == last[0][0]:
                raise last[0][1]
            return
        if time.monotonic() > end and not last:
            return
        tried += 1
        try:
            child.attempt(name, target, data)
        except Finding as exc:
            last[:] = [(data, exc)]
            raise

    try:
        attempt()
    except Exception:
        if not last:
            raise
    return tried, (last[0] if last else None)


def keep(name: str, data: bytes) -> Path:
    """Write a finding to the corpus; return where."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
    path.write_bytes(data)
    return path


def kept(name: str) -> Iterator[bytes]:
    """Yield what once was a finding for a target."""
    for path in sorted(FOLDER.glob(f"{name}-*.bin")):
        yield path.read_bytes()
