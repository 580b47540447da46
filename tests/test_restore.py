"""Restoring a compressed section: right to the byte, or refused, in memory and in a file."""

from __future__ import annotations

import fcntl
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bundles
import pytest
import zstandard

from runtime import payload, restore
from runtime.errors import PayloadError
from runtime.payload import Bundle

MODEL = random.Random(1).randbytes(50_000) + b"GGUF and much more" * 10_000
FRAME = 30_000
F_GET_SEALS = 1034


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    found = payload.load(bundles.write(tmp_path / "chat", [bundles.zstd(MODEL, frame=FRAME)]))
    yield found
    found.close()


def content(bundle: Bundle, **options: Any) -> bytes:
    """Return what a bundle's model restores to."""
    options = {"threads": 3, **options}
    fd = restore.restore(bundle, bundle.section("model"), **options)
    try:
        return os.pread(fd, os.fstat(fd).st_size + 1, 0)
    finally:
        os.close(fd)


def restored(path: Path, part: bundles.Part, **options: Any) -> bytes:
    """Return what the only section of a bundle restores to."""
    bundle = payload.load(bundles.write(path, [part]))
    try:
        return content(bundle, **options)
    finally:
        bundle.close()


@pytest.mark.parametrize("memfd", [True, False])
@pytest.mark.parametrize("threads", [1, 2, 3, 100])
def test_bytes_are_the_originals(bundle: Bundle, memfd: bool, threads: int) -> None:
    assert MODEL == content(bundle, memfd=memfd, threads=threads)


@pytest.mark.parametrize("memfd", [True, False])
@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, FRAME, FRAME + 1])
def test_any_size(tmp_path: Path, memfd: bool, size: int) -> None:
    part = bundles.zstd(MODEL[:size], frame=1000)

    assert MODEL[:size] == restored(tmp_path / "chat", part, memfd=memfd)


def test_memory_is_sealed(bundle: Bundle) -> None:
    fd = restore.restore(bundle, bundle.section("model"), threads=2)

    assert 0b1111 == fcntl.fcntl(fd, F_GET_SEALS)
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    os.close(fd)


def test_file_has_no_name(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    fd = restore.restore(bundle, bundle.section("model"), threads=2, memfd=False)

    assert [] == os.listdir(folder)
    assert os.fstat(fd).st_dev == folder.stat().st_dev
    os.close(fd)


def test_first_bytes_are_the_first_frame(bundle: Bundle) -> None:
    assert MODEL[:FRAME] == restore.first_bytes(bundle, bundle.section("model"))


def test_flipped_bit_in_any_frame_is_noticed(tmp_path: Path) -> None:
    sound = bundles.zstd(MODEL[40_000:60_000], frame=5000)
    table = len(bundles.seek_table([(0, 0)] * 4))
    step = (len(sound.data) - table) // 60
    for position in range(step, len(sound.data) - table, step):
        damaged = bytearray(sound.data)
        damaged[position] ^= 0x10
        with pytest.raises(PayloadError, match="damaged"):
            restored(tmp_path / "chat", bundles.Part(bytes(damaged), sound.entry))


def test_flipped_bit_anywhere_never_gives_wrong_bytes(tmp_path: Path) -> None:
    original = b"a short model, in two frames"
    sound = bundles.zstd(original, frame=14)
    noticed = 0
    for place in range(len(sound.data) * 8):
        damaged = bytearray(sound.data)
        damaged[place // 8] ^= 1 << place % 8
        try:
            found = restored(tmp_path / "chat", bundles.Part(bytes(damaged), sound.entry))
        except PayloadError:
            noticed += 1
        else:
            # zstd ignores one bit of a frame's header, and one switches its checksum off.
            assert original == found
    assert noticed >= len(sound.data) * 8 - 4


def frame(data: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True, **options).compress(data)


def lying(*frames: tuple[bytes, int], size: int) -> bundles.Part:
    """Return a section of these frames, each with the original size that the table claims."""
    table = bundles.seek_table([(len(data), claimed) for data, claimed in frames])
    return bundles.coded_as(b"".join(data for data, _ in frames) + table, bytes(size))


HELLO = frame(b"hello")
LIES = {
    "frames swapped in size": lying((HELLO, 6), (frame(b"worlds"), 5), size=11),
    "frame longer than claimed": lying((HELLO, 4), size=4),
    "frame shorter than claimed": lying((HELLO, 6), size=6),
    "frame that is cut": lying((HELLO[:-5], 5), size=5),
    "frame without content": lying((b"", 5), size=5),
    "frame that is noise": lying((b"\xff" * 20, 5), size=5),
    "skippable frame": lying((bundles.seek_table([]), 5), size=5),
    "content size of 2^60": lying((HELLO[:4] + b"\xe4" + struct.pack("<Q", 1 << 60), 5), size=5),
    "no table": bundles.coded_as(HELLO, b"hello"),
    "nothing": bundles.coded_as(b"", b"hello"),
    "table longer than the section": bundles.coded_as(
        struct.pack("<IBI", 1 << 20, 0, 0x8F92EAB1), b"hello"
    ),
}


@pytest.mark.parametrize("memfd", [True, False])
@pytest.mark.parametrize("lie", LIES)
def test_section_that_lies_is_refused(tmp_path: Path, lie: str, memfd: bool) -> None:
    with pytest.raises(PayloadError):
        restored(tmp_path / "chat", LIES[lie], memfd=memfd)


@pytest.mark.parametrize("lie", [*LIES, "empty"])
def test_first_bytes_of_a_section_that_lies(tmp_path: Path, lie: str) -> None:
    parts = {**LIES, "empty": bundles.zstd(b"")}
    bundle = payload.load(bundles.write(tmp_path / "chat", [parts[lie]]))
    try:
        # A short frame is not noticed here; the engine's header reader is the next to look.
        assert len(restore.first_bytes(bundle, bundle.section("model"))) <= 6
    except PayloadError:
        pass
    finally:
        bundle.close()


def test_section_before_the_start_of_the_file_is_refused(tmp_path: Path) -> None:
    part = bundles.coded_as(b"tiny", b"hello")
    bundle = payload.load(bundles.write(tmp_path / "chat", [part], launcher=b""))

    with pytest.raises(PayloadError):
        content(bundle)


def test_interrupt_stops_and_leaves_nothing_open(bundle: Bundle) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = sorted(os.listdir("/proc/self/fd"))
    for memfd in (True, False):
        with pytest.raises(KeyboardInterrupt):
            content(bundle, memfd=memfd, progress=interrupted)

    assert before == sorted(os.listdir("/proc/self/fd"))
    assert [threading.main_thread()] == threading.enumerate()


def test_progress_ends_with_everything(bundle: Bundle) -> None:
    seen: list[tuple[int, int]] = []
    content(bundle, progress=lambda *now: seen.append(now))

    assert sorted(seen) == seen
    assert (len(MODEL), len(MODEL)) == seen[-1]


def test_folder_without_room_is_named(tmp_path: Path) -> None:
    path = bundles.write(tmp_path / "chat", [bundles.zstd(MODEL, frame=FRAME)])
    code = (
        "import resource, sys; from runtime import payload, restore\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "bundle = payload.load(sys.argv[1])\n"
        "try: restore.restore(bundle, bundle.model, threads=1, memfd=False)\n"
        "except restore.PayloadError as exc: print(exc.render())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )

    assert "" == done.stderr
    assert "has no room to restore the model" in done.stdout
    assert "set TMPDIR to a folder that has it" in done.stdout


def test_no_folder_for_temporary_files(tmp_path: Path) -> None:
    path = bundles.write(tmp_path / "chat", [bundles.zstd(MODEL, frame=FRAME)])
    code = (
        "import sys, tempfile; from runtime import payload, restore\n"
        "tempfile.tempdir = sys.argv[1] + '-missing'\n"
        "bundle = payload.load(sys.argv[1])\n"
        "try: restore.restore(bundle, bundle.model, threads=1, memfd=False)\n"
        "except restore.PayloadError as exc: print(exc.render())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )

    assert "" == done.stderr
    assert done.stdout.startswith("error: ")


@pytest.mark.parametrize(
    "starve",
    [
        "class Starved(list):\n    def __iter__(self): raise MemoryError\n"
        "restore._stripes = lambda frames, threads: [frames[:40], Starved(frames[40:])]",
        "def starved(): raise MemoryError\nrestore.zstandard.ZstdDecompressor = starved",
    ],
    ids=["at work", "at the start"],
)
def test_thread_that_fails_for_any_reason_fails_the_restore(tmp_path: Path, starve: str) -> None:
    # Such as running out of memory for a decompressor: what it left out must not stay zeros.
    path = bundles.write(tmp_path / "chat", [bundles.zstd(bytes(80_000), frame=1000)])
    code = (
        "import sys, threading; from runtime import payload, restore\n"
        "threading.excepthook = lambda *_: None\n"
        f"{starve}\n"
        "bundle = payload.load(sys.argv[1])\n"
        "try: restore.restore(bundle, bundle.model, threads=2)\n"
        "except restore.PayloadError: sys.exit(0)\n"
        "sys.exit('the restore claims to have succeeded')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )

    assert (0, "") == (done.returncode, done.stderr)
