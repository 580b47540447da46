"""A minute of the fuzzer, all that it ever found, and every single bit."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz import harm
from fuzz.child import Child, Finding
from fuzz.corpus import kept, search
from fuzz.files import GOLDEN
from fuzz.targets import TARGETS
from runtime.commands.bundles import verify_extract
from runtime.container import bundle_file
from runtime.errors import AppError

MINUTE = 60


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    running = Child()
    yield running
    running.close()


@pytest.mark.parametrize("name", TARGETS)
def test_sound_inputs_and_past_findings(name: str, child: Child) -> None:
    for data in [*TARGETS[name].seeds(), *kept(name)]:
        child.attempt(name, TARGETS[name], data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_minute_of_damaged_inputs(name: str, child: Child) -> None:
    child.attempt(name, TARGETS[name], TARGETS[name].seeds()[0])  # starting is no fuzzing
    seed, seconds = time.time_ns() % 2**32, MINUTE / len(TARGETS)
    tried, failure = search(name, TARGETS[name], child, seed=seed, end=time.monotonic() + seconds)

    assert tried
    again = f"make fuzz SECONDS=600 SEED={seed} TARGETS={name}"
    assert failure is None, f"{failure}: `{again}` finds it again, and keeps it"


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (b"crash", "SIGSEGV"),
        (b"exit", "status 3"),
        (b"hang", "no end within"),
        (b"burn", "processor time"),
        (b"grow", "MB, at most 50"),
        (b"raise", "ValueError: wrong"),
    ],
)
def test_what_is_a_finding(what: bytes, reason: str) -> None:
    target, child = harm.TARGETS["harm"], Child(harm.__name__)
    try:
        with pytest.raises(Finding, match=reason):
            child.attempt("harm", target, what)
        for sound in (b"nothing", b"refuse"):
            child.attempt("harm", target, sound)
    finally:
        child.close()


def test_a_finding_is_made_small_and_found_again() -> None:
    child = Child(harm.__name__)
    try:
        found = [search("pick", harm.TARGETS["pick"], child, seed=7) for _ in range(2)]
    finally:
        child.close()
    assert found[0][0] == found[1][0]
    (first, _), (again, _) = found[0][1] or (b"", None), found[1][1] or (b"", None)
    assert first == again
    assert 0 < sum(map(bool, first)) <= 8, "it is not small"


# Not the codec that is no longer written: its bundles have no hash of the coded bytes, and some
# bits of a zstd frame mean nothing.
@pytest.mark.parametrize("form", ["stored", "planes"])
def test_flipped_bits_are_found(form: str, tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    whole = (GOLDEN / f"bundle-v1-{form}.bin").read_bytes()
    path.write_bytes(whole)
    found = bundle_file.load(path)
    footer, sections = found.footer, found.manifest.sections
    # All bits of what describes the rest; of the parts one of each byte, `benchmarks.run flips`
    # tries more.
    ranges = [(s.offset, s.length, 1) for s in sections]
    ranges += [(footer.manifest_offset, footer.manifest_length, 8), (footer.offset, 124, 8)]
    found.close()
    missed = []
    with open(path, "r+b", buffering=0) as file:
        for offset, length, bits in ranges:
            for place in range(offset, offset + length):
                for bit in range(8) if bits == 8 else [place % 8]:
                    os.pwrite(file.fileno(), bytes([whole[place] ^ 1 << bit]), place)
                    if _intact(path):
                        missed.append((place, bit))
                os.pwrite(file.fileno(), whole[place : place + 1], place)

    assert _intact(path)
    assert [] == missed


def _intact(path: Path) -> bool:
    try:
        bundle = bundle_file.load(path)
    except AppError:
        return False
    try:
        list(verify_extract.verify(bundle))
    except AppError:
        return False
    finally:
        bundle.close()
    return True
