"""Inputs: mutated from sound ones by hypothesis, and those that once found something."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from fuzz.targets import Target, survives

FOLDER = Path(__file__).parent / "corpus"
BATCH = 500
ODD = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff" * 8, b"\x00" * 8, b"\x80" + b"\x00" * 7)


class _Over(Exception):
    """The time is over."""


@st.composite
def _mutated(draw: DrawFn, seeds: Sequence[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["bit", "bytes", "odd", "cut", "insert", "copy"]))
        if kind == "bit" and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "bytes":
            new = draw(st.binary(min_size=1, max_size=8))
            data[place : place + len(new)] = new
        elif kind == "odd":
            odd = draw(st.sampled_from(ODD))
            data[place : place + len(odd)] = odd
        elif kind == "cut":
            del data[place : place + draw(st.integers(1, 64))]
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=16))
        else:
            start = draw(st.integers(0, max(len(data) - 1, 0)))
            data[place : place + 16] = data[start : start + 16]
    return bytes(data)


def mutated(seeds: Sequence[bytes]) -> SearchStrategy[bytes]:
    """Return a strategy for sound inputs with a few changes."""
    return _mutated(seeds)


def search(
    target: Target, inputs: SearchStrategy[bytes], end: float = float("inf")
) -> tuple[int, tuple[bytes, BaseException] | None]:
    """Try a batch; return how many inputs were tried, and the smallest that was a finding."""
    tried = 0
    last: list[tuple[bytes, BaseException]] = []

    @settings(
        max_examples=BATCH, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink),
    )  # fmt: skip
    @given(inputs)
    def attempt(data: bytes) -> None:
        nonlocal tried
        tried += 1
        if time.monotonic() > end and not last:
            return
        try:
            survives(target, data)
        except Exception as exc:
            last[:] = [(data, exc)]
            raise

    random.seed(time.time_ns())
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
