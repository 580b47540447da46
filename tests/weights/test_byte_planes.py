"""Splitting weights: undone by joining, as FORMAT.md words it, and never again otherwise.

    PYTHONPATH=tests/support python tests/weights/test_byte_planes.py

writes the golden files, those that are missing. They hold three records of a
type, and below them the streams, a line each, in hexadecimal.
"""

from __future__ import annotations

import random
import sys
from itertools import accumulate
from pathlib import Path

import bundles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import TESTS

from runtime.errors import ModelError
from runtime.gguf.tensor_types import TYPES
from runtime.host import library_paths
from runtime.weights import byte_planes
from runtime.weights.byte_planes import LAYOUTS, PLAIN, Buffer, Stream, streams_of

GOLDEN = TESTS / "golden" / "weights"
UNSPLIT = {"I8"}
"""Types without a layout: their bytes are of one kind already."""

every_type = pytest.mark.parametrize("kind", LAYOUTS, ids=[TYPES[kind].name for kind in LAYOUTS])


def split(kind: int, data: bytes) -> list[bytes]:
    """Return the streams that the product splits `data` into."""
    layout = LAYOUTS[kind]
    buffer = Buffer(len(data))
    layout.split(data, buffer, len(data) // layout.record)
    return cut(bytes(buffer.view), streams_of(kind, len(data)))


def cut(data: bytes, streams: object) -> list[bytes]:
    """Cut what lies in a buffer into its streams."""
    assert isinstance(streams, list)
    begin, found = 0, []
    for stream in streams:
        found.append(data[begin : begin + stream.size])
        begin += stream.size
    return found


def joined(kind: int, streams: list[bytes]) -> bytes:
    """Return the records that the product joins streams to."""
    size = sum(len(stream) for stream in streams)
    sources = [Buffer(len(stream)) for stream in streams]
    for source, stream in zip(sources, streams, strict=True):
        source.view[:] = stream
    target = Buffer(size)
    addresses = [source.address for source in sources]
    LAYOUTS[kind].join(addresses, target, size // LAYOUTS[kind].record)
    return bytes(target.view)


def places(kind: int, buffer: Buffer, size: int) -> list[int]:
    """Return where the streams begin that `size` bytes were split into."""
    ends = accumulate((stream.size for stream in streams_of(kind, size)), initial=buffer.address)
    return list(ends)[:-1]


def records(kind: int, count: int, seed: int = 0) -> bytes:
    return random.Random(f"{kind} {seed}").randbytes(LAYOUTS[kind].record * count)


@every_type
@given(count=st.sampled_from([1, 2, 3, 7, 31, 32, 33, 64, 101, 1000]), seed=st.integers(0, 1 << 32))
@settings(deadline=None, max_examples=30)
def test_join_undoes_split(kind: int, count: int, seed: int) -> None:
    data = records(kind, count, seed)

    assert data == joined(kind, split(kind, data))


@every_type
@pytest.mark.parametrize("count", [1, 2, 3, 17, 64])
def test_split_is_what_the_specification_says(kind: int, count: int) -> None:
    data = records(kind, count)

    assert bundles.split(kind, data) == split(kind, data)


@every_type
def test_golden_file_is_split_and_joined_as_ever(kind: int) -> None:
    lines = (GOLDEN / f"{TYPES[kind].name}.txt").read_text().split("\n\n")
    data, streams = (list(map(bytes.fromhex, part.split())) for part in lines)

    assert streams == split(kind, b"".join(data))
    assert b"".join(data) == joined(kind, streams)


def test_there_is_a_golden_file_of_every_type() -> None:
    assert {TYPES[kind].name for kind in LAYOUTS} == {path.stem for path in GOLDEN.iterdir()}


@pytest.mark.parametrize(
    ("number", "rest", "exponent"),
    [
        (0x0000, 0x00, 0x00),
        (0x8000, 0x80, 0x00),  # the sign alone
        (0x7F80, 0x00, 0xFF),  # infinity: every bit of the exponent
        (0x007F, 0x7F, 0x00),  # every bit of the fraction
        (0x0080, 0x00, 0x01),  # the exponent's lowest bit, alone in the lower byte
        (0xC049, 0xC9, 0x80),  # -3.14
    ],
)
def test_exponent_of_bf16_stands_apart(number: int, rest: int, exponent: int) -> None:
    assert [bytes([rest]), bytes([exponent])] == split(30, number.to_bytes(2, "little"))


def test_every_bf16_number_comes_back() -> None:
    data = b"".join(number.to_bytes(2, "little") for number in range(1 << 16))

    assert data == joined(30, split(30, data))


@every_type
def test_nothing_is_touched_beside_the_buffers_part(kind: int) -> None:
    # A thread's buffers are those of its largest chunk; the last of a tensor fills less of them.
    data = records(kind, 5)
    source, target = Buffer(len(data) + 64), Buffer(len(data) + 64)
    for buffer in (source, target):
        buffer.view[:] = b"\xa5" * len(buffer.view)
    LAYOUTS[kind].split(data, source, 5)
    LAYOUTS[kind].join(places(kind, source, len(data)), target, 5)

    assert data == target.view[: len(data)]
    assert b"\xa5" * 64 == source.view[len(data) :] == target.view[len(data) :]


@every_type
def test_record_is_a_block_of_ggml(kind: int) -> None:
    assert TYPES[kind].size == LAYOUTS[kind].record


def test_every_type_has_a_layout_or_needs_none() -> None:
    assert {found.name for kind, found in TYPES.items() if kind not in LAYOUTS} == UNSPLIT
    assert set(LAYOUTS) <= set(TYPES)


def test_specification_lists_the_layouts() -> None:
    assert set(LAYOUTS) == set(bundles.LAYOUTS)
    for kind, said in bundles.LAYOUTS.items():
        layout = LAYOUTS[kind]
        assert (TYPES[kind].name, layout.record) == (said.name, said.record)
        if isinstance(layout, byte_planes.Numbers):
            how = "exponent apart" if layout.kind == "bf16" else "bytes apart"
        else:
            assert isinstance(layout, byte_planes.Blocks)
            how = ", ".join(
                f"**{field.name}** {field.width}"
                if isinstance(field, byte_planes.Planes)
                else f"{field.name} {field.width}"
                for field in layout.fields
            )
        assert how == said.how, said.name


@every_type
@given(count=st.integers(1, 1 << 20))
def test_streams_add_up(kind: int, count: int) -> None:
    size = count * LAYOUTS[kind].record
    streams = streams_of(kind, size)

    assert size == sum(stream.size for stream in streams)
    assert all(stream.size > 0 for stream in streams)
    for stream in streams:
        if stream.plane:
            assert count == stream.plane
            assert 0 == stream.size % stream.plane


@every_type
@pytest.mark.parametrize("off", [-1, 1])
def test_length_that_is_no_whole_records_is_refused(kind: int, off: int) -> None:
    with pytest.raises(ValueError, match=f"of type {kind} cannot be split"):
        streams_of(kind, 32 * LAYOUTS[kind].record + off)


@pytest.mark.parametrize("kind", [4, 5, 24, 31, 38, 43, 254, 256, -1])
def test_unknown_type_is_refused(kind: int) -> None:
    with pytest.raises(ValueError, match=f"of type {kind} cannot be split"):
        streams_of(kind, 1024)


@pytest.mark.parametrize("size", [0, 1, 12345])
def test_plain_bytes_are_one_stream(size: int) -> None:
    assert [Stream(size)] == streams_of(PLAIN, size)


def test_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_paths, "library_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"libweights\.so cannot be loaded") as caught:
        byte_planes._library.__wrapped__()

    assert library_paths.REINSTALL == caught.value.hint


def test_library_of_another_version_is_named() -> None:
    with pytest.raises(ModelError, match=r"libweights\.so is of another version") as caught:
        byte_planes._function("weights_join_sideways")

    assert library_paths.REINSTALL == caught.value.hint


def write_golden_files() -> None:
    for kind in LAYOUTS:
        path = GOLDEN / f"{TYPES[kind].name}.txt"
        if not path.exists():  # those that are there are a promise
            data, size = records(kind, 3), LAYOUTS[kind].record
            rows = [data[at : at + size].hex() for at in range(0, len(data), size)]
            streams = [stream.hex() for stream in bundles.split(kind, data)]
            path.write_text("\n".join([*rows, "", *streams, ""]))
            print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    write_golden_files()
