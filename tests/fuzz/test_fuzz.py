"""A short run of the fuzzer, all that it ever found, and every single bit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fuzz.corpus import kept, mutated, search
from fuzz.targets import GOLDEN, TARGETS, survives
from runtime.commands import verify_extract
from runtime.container import bundle_file
from runtime.errors import AppError


@pytest.mark.parametrize("name", TARGETS)
def test_sound_inputs_and_past_findings(name: str) -> None:
    target = TARGETS[name]
    for data in [*target.seeds, *kept(name)]:
        survives(target, data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_batch_of_damaged_inputs(name: str) -> None:
    tried, failure = search(TARGETS[name], mutated(TARGETS[name].seeds))

    assert tried
    assert failure is None, f"{failure}: run `make fuzz` to have it kept"


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
