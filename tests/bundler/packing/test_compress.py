"""Compressing a section: chunks that restore to the original, whatever the number of threads."""

from __future__ import annotations

import dataclasses
import os
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import bundles
import ggufs
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.packing import estimate as estimates
from bundler.packing.estimate import Estimate
from runtime.container import bundle_file
from runtime.container.extents import Extents
from runtime.gguf.header import Header, Tensor, read_header
from runtime.gguf.tensor_types import TYPES
from runtime.weights import chunk_table, compress, decompress
from runtime.weights.byte_planes import LAYOUTS, PLAIN
from runtime.weights.chunk_table import RAW, ZSTD, Chunk
from runtime.weights.compress import HUFFMAN, PIECE, Piece

F32, F16, Q4_0, Q8_0, Q4_K, I8, BF16 = 0, 1, 2, 8, 12, 24, 30
NOISE = random.Random(1).randbytes(PIECE)


def bell(kind: int, size: int) -> bytes:
    """Return `size` bytes of normally distributed weights, so that there is something to save."""
    count = -(-size // TYPES[kind].size) * TYPES[kind].values
    values = np.random.default_rng(kind).standard_normal(count, dtype=np.float32) / 30
    if kind == F32:
        return values.tobytes()[:size]
    if kind == F16:
        return values.astype(np.float16).tobytes()[:size]
    quantize = ggufs.gguf.quantize
    return bytes(quantize(values, ggufs.gguf.GGMLQuantizationType(kind)).tobytes()[:size])


def header(data_offset: int, *tensors: tuple[int, int, int]) -> Header:
    """Return a header that lists tensors: type, where each begins in the file, and its bytes."""
    listed = [
        Tensor(f"t{i}", (), kind, begin - data_offset, size)
        for i, (kind, begin, size) in enumerate(tensors)
    ]
    return Header(3, {}, {}, tuple(listed), data_offset)


def cut(data_offset: int, size: int, *tensors: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Return offset, size and type of the pieces that an original is cut into."""
    pieces = compress.cut(header(data_offset, *tensors), size)
    assert [piece.offset < data_offset for piece in pieces] == [piece.text for piece in pieces]
    return [(piece.offset, piece.size, piece.kind) for piece in pieces]


def compressed(data: bytes, pieces: Sequence[Piece], threads: int = 2) -> bytes:
    """Return the section of `data`, which must begin where the file ended before."""
    out = os.memfd_create("test")
    try:
        os.write(out, b"before")
        source = Extents([data[:1000], data[1000:]])
        written = compress.compress(source, pieces, out, lambda *_: None, threads)
        found = os.pread(out, 6 + written.length + 1, 0)
    finally:
        os.close(out)
    assert ("planes", b"before", written.length) == (written.codec, found[:6], len(found) - 6)
    assert bundles.planes_as(found[6:], data).entry["coded_sha256"] == written.sha256
    return found[6:]


def plain(size: int) -> list[Piece]:
    return compress.cut(header(0), size)


def table_of(data: bytes, size: int) -> list[Chunk]:
    """Return the chunks of a section."""
    length = chunk_table.table_length(data[-chunk_table.TAIL.size :])
    return chunk_table.decode(data[-length:], len(data), size)


def restored(path: Path, data: bytes, original: bytes) -> bytes:
    """Return what the product restores a section to."""
    bundle = bundle_file.load(bundles.write(path, [bundles.planes_as(data, original)]))
    try:
        return b"".join(map(bytes, decompress.original_chunks(bundle, bundle.section("model"))))
    finally:
        bundle.close()


MODEL = b"a header " * 300 + bell(F32, 40_000) + bell(BF16, 3 << 20) + bell(Q8_0, 34 * 1000) + NOISE
AFTER = 2700
MODEL_HEADER = header(
    AFTER, (F32, AFTER, 40_000), (BF16, AFTER + 40_000, 3 << 20),
    (Q8_0, AFTER + 40_000 + (3 << 20), 34 * 1000),
)  # fmt: skip
MODEL_PIECES = compress.cut(MODEL_HEADER, len(MODEL))


def test_original_comes_back(tmp_path: Path) -> None:
    data = compressed(MODEL, MODEL_PIECES)

    assert len(data) < len(MODEL) * 0.8
    assert MODEL == restored(tmp_path / "chat", data, MODEL)
    kinds = [chunk.kind for chunk in table_of(data, len(MODEL))]
    assert [PLAIN, F32, BF16, BF16, BF16, Q8_0, PLAIN, PLAIN][: len(kinds)] == kinds


def test_number_of_threads_changes_nothing() -> None:
    once = compressed(MODEL, MODEL_PIECES, 1)

    assert once == compressed(MODEL, MODEL_PIECES, 2) == compressed(MODEL, MODEL_PIECES, 5)


@pytest.mark.parametrize("data", [b"", b"x", bytes(5), NOISE, NOISE + b"x", bytes(PIECE + 1)])
def test_plain_bytes_come_back(tmp_path: Path, data: bytes) -> None:
    section = compressed(data, plain(len(data)))

    assert data == restored(tmp_path / "chat", section, data)
    assert -(-len(data) // PIECE) == len(table_of(section, len(data)))


@pytest.mark.parametrize("kind", LAYOUTS, ids=[TYPES[kind].name for kind in LAYOUTS])
def test_every_type_comes_back(tmp_path: Path, kind: int) -> None:
    # A piece that is full, one that is not, and bytes that are worth coding.
    size = LAYOUTS[kind].record * (PIECE // LAYOUTS[kind].record + 777)
    source = np.random.default_rng(kind)
    data = np.clip(source.standard_normal(size) * 6 + 128, 0, 255).astype(np.uint8).tobytes()
    section = compressed(data, compress.cut(header(0, (kind, 0, size)), size))

    assert [kind, kind] == [chunk.kind for chunk in table_of(section, size)]
    assert data == restored(tmp_path / "chat", section, data)


def test_the_types_are_cut_apart() -> None:
    found = cut(100, 50_000, (F32, 128, 10_000), (Q4_0, 10_240, 18_000))

    assert [
        (0, 100, PLAIN), (100, 28, PLAIN), (128, 10_000, F32), (10_128, 112, PLAIN),
        (10_240, 18_000, Q4_0), (28_240, 21_760, PLAIN),
    ] == found  # fmt: skip


@pytest.mark.parametrize("kind", [F32, BF16, Q4_0, Q4_K])
def test_pieces_are_whole_records(kind: int) -> None:
    record = LAYOUTS[kind].record
    step = PIECE // record * record
    size = 2 * step + 100 * record

    assert [(7, step, kind), (7 + step, step, kind), (7 + 2 * step, 100 * record, kind)] == cut(
        7, 7 + size, (kind, 7, size)
    )[1:]


def test_neighbours_of_a_type_are_one() -> None:
    found = cut(0, 60_000, (BF16, 0, 10_000), (BF16, 10_000, 20_000), (F16, 30_000, 30_000))

    assert [(0, 30_000, BF16), (30_000, 30_000, F16)] == found


MIB = 1 << 20


@pytest.mark.parametrize(
    ("size", "tensors", "expected"),
    [
        (0, [], []),
        (MIB, [], [(0, MIB, PLAIN)]),
        (MIB, [(F32, 0, 0)], [(0, MIB, PLAIN)]),
        (MIB, [(I8, 0, MIB)], [(0, MIB, PLAIN)]),  # of one kind already
        (MIB, [(999, 0, 0)], [(0, MIB, PLAIN)]),  # unknown, and so of no size
        (MIB, [(F32, 0, MIB - 2)], [(0, MIB, PLAIN)]),  # no whole numbers
        (MIB, [(F32, 4, MIB)], [(0, MIB, PLAIN)]),  # beyond the end
        (MIB, [(F32, 1 << 60, MIB)], [(0, MIB, PLAIN)]),
        (MIB, [(F32, 0, MIB), (F16, 0, MIB)], [(0, MIB, F32)]),  # twice the same bytes
        (MIB, [(F16, 500_000, 500_000), (F32, 0, 500_004)],
         [(0, 500_004, F32), (500_004, 548_572, PLAIN)]),  # over its neighbour's beginning
        (MIB, [(F32, 0, MIB), (F16, 1000, 20_000)], [(0, MIB, F32)]),  # inside another
        (MIB, [(F32, 0, MIB)] * 3, [(0, MIB, F32)]),
    ],
)  # fmt: skip
def test_header_that_lies_is_cut_all_the_same(
    size: int, tensors: list[tuple[int, int, int]], expected: list[tuple[int, int, int]]
) -> None:
    assert expected == cut(0, size, *tensors)


@pytest.mark.parametrize("data_offset", [MIB, MIB + 1, 1 << 60])
def test_header_beyond_the_end(data_offset: int) -> None:
    assert [(0, MIB, PLAIN)] == cut(data_offset, MIB, (F32, data_offset, 40_000))


TENSORS = st.lists(
    st.tuples(st.sampled_from([F32, Q4_0, Q4_K, I8, 999]), st.integers(0, 300_000),
              st.integers(0, 90_000)),
    max_size=8,
)  # fmt: skip


@given(st.integers(0, 400_000), st.integers(0, 300_000), TENSORS)
@settings(deadline=None)
def test_pieces_of_any_header_cover_everything_once(
    data_offset: int, size: int, tensors: list[tuple[int, int, int]]
) -> None:
    done = 0
    for begin, length, kind in cut(
        data_offset, size, *((kind, data_offset + at, length) for kind, at, length in tensors)
    ):
        assert begin == done
        assert 0 < length <= PIECE
        assert kind == PLAIN or length % LAYOUTS[kind].record == 0
        done += length

    assert size == done


def test_model_of_tiny_tensors_can_be_read_again(tmp_path: Path) -> None:
    # A row of the table for each would be more than a reader need accept.
    count, step = 60_000, 32
    tensors = [(F32, i * step, 4) for i in range(count)]
    data = bytes(count * step)
    section = compressed(data, compress.cut(header(0, *tensors), len(data)))

    assert data == restored(tmp_path / "chat", section, data)
    assert len(table_of(section, len(data))) < 10


def test_worst_table_can_be_read_again() -> None:
    # As many rows as there can be, zeros throughout, and gaps of a byte.
    record = LAYOUTS[21].record
    count = 3000
    tensors, begin = [], 0
    step = -(-compress.SPLIT_MIN // record) * record
    for _ in range(count):
        tensors.append((21, begin, step))
        begin += step + 1
    data = bytes(begin)
    section = compressed(data, compress.cut(header(0, *tensors), begin))
    table = chunk_table.TAIL.unpack(section[-chunk_table.TAIL.size :])[3]

    assert 2 * count == len(table_of(section, begin))
    assert table < begin // chunk_table.TABLE_SHARE
    assert table < chunk_table.TABLE_TIMES * (len(section) - len(chunk_table.encode([])))


def test_streams_are_coded_where_it_pays() -> None:
    data = bell(F32, 400_000)
    (chunk,) = table_of(compressed(data, [Piece(0, len(data), F32)]), len(data))

    # Of a 32-bit number only the highest byte, sign and exponent, is not noise.
    assert [RAW, RAW, RAW, ZSTD] == [stream.coding for stream in chunk.streams]
    assert [100_000] * 3 == [stream.length for stream in chunk.streams[:3]]


@pytest.mark.parametrize("kind", [PLAIN, F32, Q4_K])
def test_what_saves_nothing_is_stored(kind: int) -> None:
    size = 144 * 1000
    (chunk,) = table_of(compressed(NOISE[:size], [Piece(0, size, kind)]), size)

    assert (PLAIN, [RAW]) == (chunk.kind, [stream.coding for stream in chunk.streams])


def test_text_is_searched_for_repetitions() -> None:
    text = b" ".join(f"word {i % 1000}".encode() for i in range(20_000))
    as_text, as_weights = (
        len(compressed(text, [Piece(0, len(text), PLAIN, text=text_)])) for text_ in (True, False)
    )

    assert as_text < as_weights / 5


def test_planes_have_a_code_of_their_own() -> None:
    # Where all planes share a Huffman code, it fits none of them.
    count = 6000
    planes = [
        bytes(random.Random(k).choices(range(16 * k, 16 * k + 16), k=count)) for k in range(8)
    ]
    data = bytes(plane[i] for i in range(count) for plane in planes)
    (chunk,) = table_of(compressed(data, [Piece(0, len(data), 28)]), len(data))
    shared = zstandard.ZstdCompressor(compression_params=HUFFMAN).compress(b"".join(planes))

    assert chunk.length < 0.7 * len(shared)


def test_frames_say_their_size() -> None:
    data = compressed(MODEL, MODEL_PIECES)
    for chunk in table_of(data, len(MODEL)):
        begin = chunk.offset
        for stream, made in zip(
            chunk.streams, chunk_table.streams_of(chunk.kind, chunk.size), strict=True
        ):
            if stream.coding == ZSTD:
                assert stream.length < made.size
                found = zstandard.get_frame_parameters(data[begin : begin + stream.length])
                assert (made.size, False) == (found.content_size, found.has_checksum)
            begin += stream.length


def estimate(*parts: bytes) -> Estimate:
    source = Extents(parts)
    return estimates.estimate(source, plain(source.size))


@pytest.mark.parametrize(("low", "high", "data"), [(0.0, 0.01, NOISE), (0.99, 1.0, bytes(PIECE))])
def test_saving_is_estimated(low: float, high: float, data: bytes) -> None:
    assert low <= estimate(data).saving <= high


def test_saving_is_estimated_over_the_whole() -> None:
    # Half of it can be saved, but not of its beginning.
    assert 0.4 < estimate(*[NOISE, bytes(PIECE)] * 20).saving < 0.6


def test_estimate_comes_near_the_truth() -> None:
    guess = estimates.estimate(Extents([MODEL]), MODEL_PIECES)
    truth = 1 - len(compressed(MODEL, MODEL_PIECES)) / len(MODEL)

    assert truth == pytest.approx(guess.saving, abs=0.01)
    assert 0 < guess.restore_seconds < 1


def test_nothing_saves_nothing() -> None:
    assert Estimate(0.0, 0.0) == estimate()


def test_header_is_no_sample_of_the_weights() -> None:
    source = Extents([bytes(1000), NOISE])
    pieces = compress.cut(header(1000, (F32, 1000, PIECE)), source.size)

    assert estimates.estimate(source, pieces).saving < 0.01
    assert estimates.estimate(source, pieces[:1]).saving > 0.9


def test_what_is_no_smaller_is_not_appended(tmp_path: Path) -> None:
    for data, smaller in ((NOISE, False), (bytes(PIECE), True)):
        with open(tmp_path / "out", "w+b", buffering=0) as out:
            out.write(b"before")
            written = compress.compress_smaller(
                Extents([data]), header(0), out.fileno(), lambda *_: None
            )
            assert (written is not None) == smaller
            length = written.length if written else 0
            assert 6 + length == out.tell() == os.fstat(out.fileno()).st_size


def test_interrupt_stops_all_threads() -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    out = os.memfd_create("test")
    source = Extents([NOISE] * 50)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        compress.compress(source, plain(source.size), out, interrupted, 2)

    assert os.fstat(out).st_size <= PIECE
    assert set(threading.enumerate()) <= before
    os.close(out)


def test_progress_ends_with_everything() -> None:
    seen: list[tuple[int, int]] = []
    data = NOISE * 2 + b"x"
    out = os.memfd_create("test")
    compress.compress(Extents([data]), plain(len(data)), out, lambda *now: seen.append(now), 2)
    os.close(out)

    assert [(done, len(data)) for done in (PIECE, 2 * PIECE, 2 * PIECE + 1)] == seen


@pytest.mark.parametrize("weights", ggufs.WEIGHT_TYPES)
def test_real_header_is_split_by_its_types(tmp_path: Path, weights: str) -> None:
    path = Path(ggufs.write_model(tmp_path / "m.gguf", weight_type=weights))
    data = path.read_bytes()
    with open(path, "rb") as file:
        found = read_header(file.fileno(), len(data), label="it")
    section = compressed(data, compress.cut(found, len(data)))

    kinds = {TYPES[chunk.kind].name for chunk in table_of(section, len(data))
             if chunk.kind != PLAIN}  # fmt: skip
    assert {weights} == kinds - {"F32"} or weights == "F32"
    assert data == restored(tmp_path / "chat", section, data)
    whole = len(zstandard.ZstdCompressor(level=3).compress(data))
    assert len(section) < whole
    # The same without a header: nothing depends on it but the saving.
    blind = compressed(data, compress.cut(dataclasses.replace(found, tensors=()), len(data)))
    assert data == restored(tmp_path / "chat", blind, data)
