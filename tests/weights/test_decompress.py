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
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import bundles
import open_files
import pytest
import zstandard

from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.errors import PayloadError
from runtime.weights import decompress

MODEL = random.Random(1).randbytes(50_000) + b"GGUF and much more" * 10_000
FRAME = 30_000
F_GET_SEALS = 1034
F32, F16, Q4_0, Q4_K, BF16 = 0, 1, 2, 12, 30


def cut(original: bytes, size: int = FRAME) -> list[bundles.Chunk]:
    """Return chunks of about `size` bytes, each of another type; any bytes are weights."""
    chunks, begin = [], 0
    for kind in cycle([bundles.PLAIN, F32, BF16, Q4_K, Q4_0]):
        record = 1 if kind == bundles.PLAIN else bundles.LAYOUTS[kind].record
        end = begin + max(size // record, 1) * record
        if end >= len(original):
            break
        chunks.append(bundles.chunk(original[begin:end], kind))
        begin = end
    return [*chunks, bundles.chunk(original[begin:])] if begin < len(original) else chunks


FORMS = {"planes": bundles.planes(*cut(MODEL)), "zstd": bundles.zstd(MODEL, frame=FRAME)}


@pytest.fixture(params=FORMS)
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bundle]:
    found = bundle_file.load(bundles.write(tmp_path / "chat", [FORMS[request.param]]))
    yield found
    found.close()


def content(bundle: Bundle, **options: Any) -> bytes:
    """Return what a bundle's model restores to."""
    options = {"threads": 3, **options}
    fd = decompress.to_fd(bundle, bundle.section("model"), **options)
    try:
        return os.pread(fd, os.fstat(fd).st_size + 1, 0)
    finally:
        os.close(fd)


def restored(path: Path, part: bundles.Part, **options: Any) -> bytes:
    """Return what the only section of a bundle restores to."""
    bundle = bundle_file.load(bundles.write(path, [part]))
    try:
        return content(bundle, **options)
    finally:
        bundle.close()


@pytest.mark.parametrize("memfd", [True, False])
@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5, 100])
def test_bytes_are_the_originals(bundle: Bundle, memfd: bool, threads: int) -> None:
    assert MODEL == content(bundle, memfd=memfd, threads=threads)


@pytest.mark.parametrize("memfd", [True, False])
@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 4095, 4096, 4097, FRAME, FRAME + 1])
def test_any_size(tmp_path: Path, memfd: bool, size: int) -> None:
    original = MODEL[-size:]
    for part in (bundles.zstd(original, frame=1000), bundles.planes(*cut(original, 1000))):
        assert original == restored(tmp_path / "chat", part, memfd=memfd)


@pytest.mark.parametrize("threads", range(1, 6))
@pytest.mark.parametrize("sizes", [(1,), (1, 1), (1, 50_000), (50_000, 1), (7,) * 20, (4096,) * 3])
def test_any_boundaries(tmp_path: Path, sizes: tuple[int, ...], threads: int) -> None:
    originals = [random.Random(i).randbytes(size) for i, size in enumerate(sizes)]
    part = bundles.planes(*map(bundles.chunk, originals))

    assert b"".join(originals) == restored(tmp_path / "chat", part, threads=threads)


@pytest.mark.parametrize(
    "kind", bundles.LAYOUTS, ids=[layout.name for layout in bundles.LAYOUTS.values()]
)
def test_every_type_raw_and_coded(tmp_path: Path, kind: int) -> None:
    source = random.Random(kind)
    size = bundles.LAYOUTS[kind].record
    originals = [source.randbytes(size), bytes(source.choices(b"\0\1\xff", k=101 * size))]
    noise, weights = (bundles.split(kind, original) for original in originals)
    part = bundles.planes(
        bundles.chunk(originals[0], kind, streams=[(0, stream) for stream in noise]),
        bundles.chunk(originals[1], kind, streams=[(1, frame(stream)) for stream in weights]),
        # Every second stream is as it was, the others are not, and the other way round.
        *(
            bundles.chunk(
                originals[1],
                kind,
                streams=[(1, frame(s)) if i % 2 == odd else (0, s) for i, s in enumerate(weights)],
            )
            for odd in (0, 1)
        ),
    )

    assert originals[0] + originals[1] * 3 == restored(tmp_path / "chat", part)


@pytest.mark.parametrize("part", [bundles.planes(), bundles.zstd(b"")], ids=["planes", "zstd"])
@pytest.mark.parametrize("memfd", [True])
def test_nothing_at_all(tmp_path: Path, part: bundles.Part, memfd: bool) -> None:
    assert b"" == restored(tmp_path / "chat", part, memfd=memfd)


def test_types_need_not_be_those_of_the_header(tmp_path: Path) -> None:
    # Restoring looks at nothing but the chunk table: here is no header at all.
    part = bundles.planes(bundles.chunk(MODEL[:4000], F32), bundles.chunk(MODEL[4000:8000], F16))

    assert MODEL[:8000] == restored(tmp_path / "chat", part)


def test_chunk_may_be_as_large_as_the_specification_says(tmp_path: Path) -> None:
    zeros = bytes(64 << 20)
    part = bundles.planes(bundles.chunk(zeros))
    bundle = bundle_file.load(bundles.write(tmp_path / "chat", [part]))
    fd = decompress.to_fd(bundle, bundle.section("model"), threads=1)

    assert len(zeros) == os.fstat(fd).st_size
    assert os.pread(fd, len(zeros), 0) == zeros
    os.close(fd)
    bundle.close()


def test_memory_is_sealed(bundle: Bundle) -> None:
    fd = decompress.to_fd(bundle, bundle.section("model"), threads=2)

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
    fd = decompress.to_fd(bundle, bundle.section("model"), threads=2, memfd=False)

    assert [] == os.listdir(folder)
    assert os.fstat(fd).st_dev == folder.stat().st_dev
    os.close(fd)


def test_pieces_are_the_original(bundle: Bundle) -> None:
    section = bundle.section("model")
    found = [bytes(piece) for piece in decompress.original_chunks(bundle, section)]

    assert b"".join(found) == MODEL
    assert MODEL[:FRAME] == found[0]
    assert [chunk.size for chunk in decompress.chunk_table_of(bundle, section)] == list(
        map(len, found)
    )


def flipped(part: bundles.Part, bit: int) -> bundles.Part:
    """Return a section with one bit of its bytes in the file flipped."""
    damaged = bytearray(part.data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bundles.Part(bytes(damaged), part.entry)


def noticed(path: Path, sound: bundles.Part, original: bytes, bits: Iterable[int]) -> list[bool]:
    """Return for each of the bits whether it is noticed that it was flipped.

    Where it is not, the original must have come back: a compressor has a few bits to spare, and
    what repeats may be copied from another place.
    """
    found = []
    for bit in bits:
        try:
            assert original == restored(path, flipped(sound, bit), threads=1)
            found.append(False)
        except PayloadError as exc:
            assert exc.hint
            found.append(True)
    return found


@pytest.mark.parametrize("form", ["planes", "zstd"])
def test_flipped_bit_in_any_frame_is_noticed(tmp_path: Path, form: str) -> None:
    original = MODEL[40_000:60_000]
    if form == "planes":
        chunks = cut(original, 5000)
        sound, coded = bundles.planes(*chunks), sum(len(chunk.data) for chunk in chunks)
    else:
        sound = bundles.zstd(original, frame=5000)
        coded = len(sound.data) - len(bundles.seek_table([(0, 0)] * 4))
    places = range(coded // 60, coded, coded // 60)
    found = noticed(tmp_path / "chat", sound, original, [place * 8 + 4 for place in places])

    assert sum(found) >= len(found) - 2


def test_the_place_of_other_bytes_is_told(tmp_path: Path) -> None:
    part = bundles.planes(bundles.chunk(b"x" * 1000), bundles.chunk(b"y", xxh3=bytes(16)))

    with pytest.raises(PayloadError, match="damaged: its bytes from 1,000 on are not what was"):
        restored(tmp_path / "chat", part)


SMALL = b"a short model, in two frames"
SMALL_FORMS = {
    "zstd": bundles.zstd(SMALL, frame=14),
    "planes, raw": bundles.planes(bundles.chunk(SMALL[:16], F32), bundles.chunk(SMALL[16:])),
    "planes, coded": bundles.planes(
        bundles.chunk(bytes(72), Q4_0), bundles.chunk(b"the same, " * 5), bundles.chunk(SMALL)
    ),
}


@pytest.mark.parametrize("form", SMALL_FORMS)
def test_flipped_bit_anywhere_never_gives_wrong_bytes(tmp_path: Path, form: str) -> None:
    sound = SMALL_FORMS[form]
    original = restored(tmp_path / "chat", sound)
    found = noticed(tmp_path / "chat", sound, original, range(len(sound.data) * 8))

    frames = sound.data.count(b"\x28\xb5\x2f\xfd")
    if form != "zstd":
        frames -= 1  # the table's, which has a checksum around it
        assert all(found[-8 * len(bundles.chunk_table([])) :])
    assert sum(found) >= len(found) - 4 * frames


@pytest.mark.parametrize("form", FORMS)
def test_section_that_ends_early_is_noticed(tmp_path: Path, form: str) -> None:
    part = FORMS[form]
    path = bundles.write(tmp_path / "chat", [part])
    bundle = bundle_file.load(path)
    section = bundle.section("model")
    table = decompress.chunk_table_of(bundle, section)
    decoder = decompress.Decoder(decompress.map_section(bundle, section), table, "model")
    os.truncate(path, section.offset + table[-1].offset + table[-1].length - 1)
    for chunk in table[:-1]:
        decoder.decode(chunk)

    with pytest.raises(PayloadError, match="the compressed part 'model' is damaged: the file"):
        decoder.decode(table[-1])
    for memfd in (True, False):
        with pytest.raises(PayloadError):
            content(bundle, memfd=memfd)
    bundle.close()


def frame(data: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True, **options).compress(data)


def lying(*frames: tuple[bytes, int], size: int) -> bundles.Part:
    """Return a section of these frames, each with the original size that the table claims."""
    table = bundles.seek_table([(len(data), claimed) for data, claimed in frames])
    return bundles.coded_as(b"".join(data for data, _ in frames) + table, bytes(size))


GREETING = b"hello, " * 20


def coded(data: bytes, original: bytes = GREETING, **claims: Any) -> bundles.Part:
    """Return a section of one plain chunk, coded as `data`, whatever that is."""
    return bundles.planes(bundles.chunk(original, streams=[(1, data)], **claims))


HELLO = frame(b"hello")
HELLOS = frame(GREETING)
SOUND = bundles.planes(bundles.chunk(GREETING, streams=[(1, HELLOS)]))
OTHERS = bundles.chunk(b"others, " * 20, streams=[(1, frame(b"others, " * 20))])
LIES = {
    "planes: chunk of another hash": coded(HELLOS, xxh3=bytes(16)),
    "planes: chunk of others' content": coded(frame(GREETING[:-1] + b"O")),
    "planes: chunk shorter than claimed": coded(HELLOS, GREETING + b"!"),
    "planes: chunk longer than claimed": coded(frame(bytes(50)), bytes(49)),
    "planes: frame that is cut": coded(HELLOS[:-5]),
    "planes: frame of nothing": coded(b""),
    "planes: frame that is noise": coded(b"\xff" * 15),
    "planes: frame and more": coded(HELLOS + b"\0"),
    "planes: two frames": coded(frame(bytes(20)) * 2, bytes(40)),
    "planes: skippable frame": coded(bundles.seek_table([])),
    "planes: content size of 2^60": coded(HELLO[:4] + b"\xe4" + struct.pack("<Q", 1 << 60)),
    "planes: window that is huge": coded(b"\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00"),
    "planes: raw bytes of another hash": bundles.planes(bundles.chunk(b"x", xxh3=bytes(16))),
    "planes: weights of another type": bundles.planes(
        bundles.chunk(SMALL[:16], F16, type=BF16),
    ),
    "planes: chunks swapped": bundles.planes_as(
        OTHERS.data + SOUND.data, OTHERS.original + GREETING
    ),
    "planes: no table": bundles.planes_as(HELLOS, GREETING),
    "planes: nothing": bundles.planes_as(b"", GREETING),
    "planes: nothing of nothing": bundles.planes_as(b"", b""),
    "planes: tail alone": bundles.planes_as(SOUND.data[-28:], GREETING),
    "planes: table of the other codec": bundles.planes_as(
        HELLO + bundles.seek_table([(len(HELLO), 5)]), b"hello"
    ),
    "planes: table longer than the section": bundles.planes_as(
        HELLO + bundles.chunk_table([], length=1 << 20), b"hello"
    ),
    "planes: section of the largest size": bundles.planes_as(
        SOUND.data, GREETING, size=(1 << 63) - 1
    ),
    "table of the other codec": bundles.coded_as(SOUND.data, GREETING),
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
    with pytest.raises(PayloadError) as caught:
        restored(tmp_path / "chat", LIES[lie], memfd=memfd)

    assert caught.value.hint


@pytest.mark.parametrize("lie", LIES)
def test_pieces_of_a_section_that_lies(tmp_path: Path, lie: str) -> None:
    bundle = bundle_file.load(bundles.write(tmp_path / "chat", [LIES[lie]]))
    with pytest.raises(PayloadError):
        for _ in decompress.original_chunks(bundle, bundle.section("model")):
            pass
    bundle.close()


@pytest.mark.parametrize("write", [bundles.planes_as, bundles.coded_as])
def test_no_room_is_taken_for_a_section_that_lies(tmp_path: Path, write: Any) -> None:
    # What an original claims to take is not reserved before its table is found sound.
    part = write(SOUND.data, GREETING, size=1 << 62)
    with pytest.raises(PayloadError, match=r"(table covers \d+ bytes|no valid seek table)"):
        restored(tmp_path / "chat", part, memfd=False)


def test_what_the_lies_are_made_of_is_sound(tmp_path: Path) -> None:
    assert GREETING == restored(tmp_path / "chat", SOUND)
    assert OTHERS.original == restored(tmp_path / "chat", bundles.planes(OTHERS))
    assert b"hello" == restored(tmp_path / "chat", lying((HELLO, 5), size=5))


def test_section_before_the_start_of_the_file_is_refused(tmp_path: Path) -> None:
    for write in (bundles.coded_as, bundles.planes_as):
        path = bundles.write(tmp_path / "chat", [write(b"tiny", b"hello")], launcher=b"")
        bundle = bundle_file.load(path)
        with pytest.raises(PayloadError):
            content(bundle)
        bundle.close()


def test_interrupt_stops_and_leaves_nothing_open(bundle: Bundle) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    threads = set(threading.enumerate())
    for memfd in (True, False):
        with open_files.none_left(), pytest.raises(KeyboardInterrupt):
            content(bundle, memfd=memfd, progress=interrupted)

    assert set(threading.enumerate()) <= threads  # those of other tests may end meanwhile


def test_progress_ends_with_everything(bundle: Bundle) -> None:
    seen: list[tuple[int, int]] = []
    content(bundle, progress=lambda *now: seen.append(now))

    assert sorted(seen) == seen
    assert (len(MODEL), len(MODEL)) == seen[-1]


def refusal(folder: Path, trouble: str, *, memfd: bool) -> str:
    """Return what a restore says in a process of its own that has run `trouble` before."""
    path = bundles.write(folder / "chat", [bundles.zstd(MODEL, frame=FRAME)])
    code = (
        "import resource, sys, tempfile; from runtime.container import bundle_file\n"
        "from runtime.weights import decompress\n"
        f"{trouble}\n"
        "bundle = bundle_file.load(sys.argv[1])\n"
        f"try: decompress.to_fd(bundle, bundle.model, threads=2, memfd={memfd})\n"
        "except decompress.PayloadError as exc: print(exc.render())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )
    assert "" == done.stderr
    return done.stdout


def test_folder_without_room_is_named(tmp_path: Path) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    said = refusal(tmp_path, limit, memfd=False)

    assert "has no room to restore the model" in said
    assert "set TMPDIR to a folder that has it" in said


def test_no_folder_for_temporary_files(tmp_path: Path) -> None:
    said = refusal(tmp_path, "tempfile.tempdir = sys.argv[1] + '-missing'", memfd=False)

    assert said.startswith("error: there is no folder for temporary files")


def test_disk_that_cannot_be_read_is_not_mistaken_for_one_that_is_full(tmp_path: Path) -> None:
    broken = (
        "from runtime.host import mmap_file\n"
        "def broken(*_): raise OSError(5, 'Input/output error')\n"
        "mmap_file._populate = broken"
    )
    said = refusal(tmp_path, broken, memfd=True)

    assert "cannot be read: Input/output error" in said
    assert "no room" not in said


@pytest.mark.parametrize(
    "starve",
    [
        "def starved(*_): raise MemoryError\ndecompress.Buffer = starved",
        "decode, calls = decompress.Decoder.decode, []\n"
        "def starved(self, chunk):\n    calls.append(chunk)\n"
        "    if len(calls) == 50: raise MemoryError\n    return decode(self, chunk)\n"
        "decompress.Decoder.decode = starved",
        "sound = zstandard.ZstdDecompressor\n"
        "def starved():\n    if threading.current_thread() is threading.main_thread():\n"
        "        return sound()\n    raise MemoryError\n"
        "zstandard.ZstdDecompressor = starved",
        "def starved(size): raise MemoryError\ndecompress.Buffer = starved",
        "def full(*_): raise OSError(28, 'No space left on device')\ndecompress.os.pwrite = full",
    ],
    ids=["at the start", "at work", "no decompressor", "no buffer", "no room"],
)
@pytest.mark.parametrize("form", ["planes", "zstd"])
def test_thread_that_fails_for_any_reason_fails_the_restore(
    tmp_path: Path, starve: str, form: str
) -> None:
    # Such as running out of memory for a decompressor: what it left out must not stay zeros.
    zeros = bytes(80_000)
    part = (
        bundles.planes(*cut(zeros, 1000)) if form == "planes" else bundles.zstd(zeros, frame=1000)
    )
    path = bundles.write(tmp_path / "chat", [part])
    code = (
        "import sys, threading, zstandard; from runtime.container import bundle_file\n"
        "from runtime.weights import decompress\n"
        "threading.excepthook = lambda *_: None\n"
        f"{starve}\n"
        "bundle = bundle_file.load(sys.argv[1])\n"
        "try: decompress.to_fd(bundle, bundle.model, threads=2)\n"
        "except decompress.PayloadError as exc: sys.exit(not exc.hint)\n"
        "sys.exit('the restore claims to have succeeded')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )

    assert (0, "") == (done.returncode, done.stderr)
