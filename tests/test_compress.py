"""Compressing a section: frames that any zstd decodes, the same whatever the number of threads."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading

import bundles
import pytest
import zstandard

from bundler import compress
from bundler.compress import FRAME
from bundler.source import Source
from runtime import seekable

NOISE = random.Random(1).randbytes(FRAME)
MODEL = NOISE + b"the same words again " * (FRAME // 20) + NOISE[:1000]


def compressed(data: bytes, threads: int = 2) -> bytes:
    out = os.memfd_create("test")
    try:
        os.write(out, b"before")
        length = compress.compress(Source([data]), out, lambda *_: None, threads)
        found = os.pread(out, 6 + length + 1, 0)
    finally:
        os.close(out)
    assert (b"before", length) == (found[:6], len(found) - 6)
    return found[6:]


def test_frames_are_independent_and_listed() -> None:
    data = compressed(MODEL)
    table = seekable.table_length(data[-9:])
    frames = seekable.decode(data[-table:], len(data), len(MODEL))

    assert [FRAME, FRAME, len(MODEL) - 2 * FRAME] == [frame.size for frame in frames]
    for frame in reversed(frames):
        coded = data[frame.offset : frame.offset + frame.length]
        found = zstandard.ZstdDecompressor().decompress(coded)
        assert MODEL[frame.target : frame.target + frame.size] == found
        parameters = zstandard.get_frame_parameters(coded)
        assert (True, frame.size) == (parameters.has_checksum, parameters.content_size)


def test_number_of_threads_changes_nothing() -> None:
    assert compressed(MODEL, 1) == compressed(MODEL, 2) == compressed(MODEL, 5)


@pytest.mark.parametrize("data", [b"", b"x"])
def test_little(data: bytes) -> None:
    assert bundles.zstd(data).data[-17:] == compressed(data)[-17:]


@pytest.mark.skipif(not shutil.which("zstd"), reason="there is no zstd program")
def test_zstd_itself_decodes_it() -> None:
    done = subprocess.run(["zstd", "-dc"], input=compressed(MODEL), capture_output=True, check=True)

    assert MODEL == done.stdout


@pytest.mark.parametrize(("low", "high", "data"), [(-0.01, 0.01, NOISE), (0.99, 1.0, bytes(FRAME))])
def test_saving_is_measured(low: float, high: float, data: bytes) -> None:
    assert low <= compress.sample_saving(Source([data])) <= high


def test_saving_is_measured_over_the_whole() -> None:
    pieces = [NOISE, bytes(FRAME)] * 20  # half of it can be saved, but not of its beginning

    assert 0.4 < compress.sample_saving(Source(pieces)) < 0.6
    assert 0.0 == compress.sample_saving(Source([]))


def test_interrupt_stops_all_threads() -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    out = os.memfd_create("test")
    with pytest.raises(KeyboardInterrupt):
        compress.compress(Source([bytes(FRAME)] * 50), out, interrupted, 2)

    assert os.fstat(out).st_size < 10 * FRAME
    assert [threading.main_thread()] == threading.enumerate()
    os.close(out)


def test_progress_ends_with_everything() -> None:
    seen: list[tuple[int, int]] = []
    out = os.memfd_create("test")
    compress.compress(Source([MODEL]), out, lambda *now: seen.append(now), 2)
    os.close(out)

    assert [(FRAME, len(MODEL)), (2 * FRAME, len(MODEL)), (len(MODEL), len(MODEL))] == seen
