"""The GGUF reader: right about sound headers, and never surprised by others."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import misfits
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import GGUFError
from runtime.gguf import file_magic
from runtime.gguf.header import KEEP_MAX, Header, Tensor, read_header
from runtime.model.memory_plan import kv_bytes_per_token

U32, I32, F32, BOOL, TEXT, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, count: int, values: bytes) -> bytes:
    return struct.pack("<IQ", kind, count) + values


def u32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def image(pairs: list[bytes], tensors: list[bytes], version: int = 3) -> bytes:
    head = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(pairs))
    return head + b"".join(pairs + tensors)


PAIRS = [
    pair("general.architecture", TEXT, text("llama")),
    pair("general.name", TEXT, text("Ada 短い")),
    pair("llama.context_length", U32, u32(2048)),
    pair("llama.embedding_length", U32, u32(64)),
    pair("llama.block_count", U32, u32(2)),
    pair("llama.attention.head_count", U32, u32(4)),
    pair("llama.attention.head_count_kv", ARRAY, array(U32, 2, u32(2, 1))),
    pair("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 0.5)),
    pair("tokenizer.ggml.add_bos_token", BOOL, b"\1"),
    pair("tokenizer.ggml.tokens", ARRAY, array(TEXT, 3, text("a") + text("b") + text("<s>"))),
]
TENSORS = [tensor("token_embd.weight", (64, 3), 0, 0), tensor("output.weight", (256, 2), 12, 768)]
SMALL = image(PAIRS, TENSORS)
SMALL_FILE = SMALL.ljust(-(-len(SMALL) // 32) * 32, b"\0") + bytes(768 + 288)


def read(data: bytes, **options: Any) -> Header:
    """Read a header through a file, as the program does."""
    fd = os.memfd_create("test")
    try:
        os.write(fd, data)
        return read_header(fd, len(data), label="model.gguf", **options)
    finally:
        os.close(fd)


def problem(data: bytes) -> str:
    """Return why `data` is refused."""
    with pytest.raises(GGUFError) as caught:
        read(data)
    assert caught.value.hint
    return caught.value.problem


def test_sound_header() -> None:
    header = read(SMALL_FILE)

    assert (3, "llama", "Ada 短い") == (
        header.version,
        header.architecture,
        header.text("general.name"),
    )
    assert (2048, 0.5, True, ["a", "b", "<s>"]) == (
        header.hyper("context_length"),
        header.metadata["llama.attention.layer_norm_rms_epsilon"],
        header.metadata["tokenizer.ggml.add_bos_token"],
        header.metadata["tokenizer.ggml.tokens"],
    )
    assert (
        Tensor("token_embd.weight", (64, 3), 0, 0, 768),
        Tensor("output.weight", (256, 2), 12, 768, 288),
    ) == header.tensors
    assert ["F32", "Q4_K"] == [tensor.type_name for tensor in header.tensors]
    assert len(SMALL_FILE) == header.end
    assert 64 * 3 + 256 * 2 == header.parameters
    # 3 heads in all, 16 + 16 values each, 2 bytes a value
    assert 3 * 32 * 2 == kv_bytes_per_token(header)
    assert PAIRS == [SMALL[begin:end] for begin, end in header.spans.values()]


def test_reading_can_stop_at_the_tokenizer() -> None:
    enough = SMALL[: SMALL.index(b"add_bos_token") + len("add_bos_token")]
    for data in (SMALL_FILE, enough):
        header = read(data, hyperparameters_only=True)
        assert 2048 == header.hyper("context_length")
        assert () == header.tensors
        assert not [key for key in header.metadata if key.startswith("tokenizer.")]


def test_hyperparameters_behind_the_tokenizer_are_found() -> None:
    moved = [PAIRS[0], *PAIRS[-2:], *PAIRS[1:-2]]

    assert 2048 == read(image(moved, TENSORS), hyperparameters_only=True).hyper("context_length")


def test_long_arrays_are_walked_over_not_kept() -> None:
    count = KEEP_MAX + 1
    words = pair("tokenizer.ggml.tokens", ARRAY, array(TEXT, count, text("ab") * count))
    numbers = pair("tokenizer.ggml.scores", ARRAY, array(F32, count, bytes(4 * count)))
    header = read(image([*PAIRS[:-1], words, numbers], TENSORS))

    assert (
        [] == header.metadata["tokenizer.ggml.tokens"] == header.metadata["tokenizer.ggml.scores"]
    )
    assert 2 == len(header.tensors)


def test_header_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "huge.gguf"
    path.write_bytes(image([pair("a", ARRAY, array(F32, 1 << 28, b""))], []))
    os.truncate(path, 2 << 30)  # a hole: no byte of it is read
    with open(path, "rb") as file, pytest.raises(GGUFError, match="more than 134,217,728 bytes"):
        read_header(file.fileno(), 2 << 30, label="model.gguf")


def test_missing_facts_are_empty() -> None:
    header = read(image([], []))

    assert ("", 0, 0, 32) == (
        header.architecture,
        header.hyper("context_length"),
        kv_bytes_per_token(header),
        header.alignment,
    )


@pytest.mark.parametrize("length", range(len(SMALL)))
def test_every_truncation_is_refused(length: int) -> None:
    assert (
        "truncated" in problem(SMALL[:length]) or length < 24 or "claims" in problem(SMALL[:length])
    )


EXTREMES = (0, 1, 2, 0xFF, 1 << 16, 1 << 31, 1 << 32, (1 << 40) + 7, 1 << 62, (1 << 63), -1)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """Draw the small header with a few bytes, numbers or stretches of it changed."""
    data = bytearray(SMALL_FILE)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(["byte", "number", "cut", "remove", "insert", "repeat"]))
        if change == "byte":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif change == "number":
            data[at : at + 8] = struct.pack("<Q", draw(st.sampled_from(EXTREMES)) % (1 << 64))
        elif change == "cut":
            del data[at:]
        elif change == "remove":
            del data[at : at + draw(st.integers(1, 40))]
        elif change == "insert":
            data[at:at] = draw(st.binary(max_size=20))
        else:
            data[at:at] = data[at : at + 50]
    return bytes(data)


@given(mutations(), st.booleans())
@settings(max_examples=500)
def test_any_mutation_is_read_or_refused(data: bytes, hyperparameters_only: bool) -> None:
    try:
        header = read(data, hyperparameters_only=hyperparameters_only)
    except GGUFError as exc:
        assert exc.problem.startswith("model.gguf ")
        assert exc.hint
    else:
        # What was read can be asked without surprises, too.
        assert header.end >= 0
        assert isinstance(kv_bytes_per_token(header), int)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for start in (b"", b"GGUF", b"GGUF\3\0\0\0", struct.pack("<4sIQQ", b"GGUF", 3, 1, 1)):
        try:
            read(start + data)
        except GGUFError as exc:
            assert exc.hint


def read_sparse(head: bytes, size: int) -> Header:
    """Read a header that is followed by a hole, up to `size` bytes."""
    fd = os.memfd_create("test")
    try:
        os.write(fd, head)
        os.ftruncate(fd, size)
        return read_header(fd, size, label="model.gguf")
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<4sIQQ", b"GGUF", 3, 50_000, 0),
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 100_000),
        image([pair("a", TEXT, struct.pack("<Q", 1 << 20))], []),
        image([pair("a", ARRAY, array(U32, 1 << 17, b""))], []),
        image([pair("a", ARRAY, array(TEXT, 70_000, b""))], []),
    ],
    ids=["tensors", "keys", "text", "numbers", "words"],
)
def test_a_hole_makes_no_lie_true(head: bytes) -> None:
    """A sparse file is as large as it likes for nothing: its counts must not cost memory."""
    tracemalloc.start()
    try:
        read_sparse(head, 3 << 19)
    except GGUFError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 5 << 20


def test_a_hole_full_of_words_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "hole.gguf"
    path.write_bytes(image([pair("tokenizer.ggml.tokens", ARRAY, array(TEXT, 1 << 27, b""))], []))
    os.truncate(path, (1 << 30) + 1000)
    code = (
        "import os, sys; from runtime.gguf.header import GGUFError, read_header\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "try: read_header(fd, os.fstat(fd).st_size, label='hole.gguf')\n"
        "except GGUFError as exc: print(exc.problem)"
    )
    # In a process of its own, since counting them would take minutes.
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=20, check=True
    )

    assert done.stdout.startswith("hole.gguf has a damaged header")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (image([], [], version=4), "is GGUF version 4; versions 2 and 3 can be read"),
        (image([], [], version=1), "is GGUF version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "is a big-endian GGUF"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 1 << 60, 0), "claims 1152921504606846976 tensors"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 1 << 60), "and 1152921504606846976 keys"),
        (image([PAIRS[0], PAIRS[0]], []), "the key 'general.architecture' appears twice"),
        (image([pair("a", 13, bytes(8))], []), "a value has the unknown type 13"),
        (image([pair("a", ARRAY, array(13, 1, bytes(8)))], []), "unknown element type 13"),
        (image([pair("a", ARRAY, array(ARRAY, 1, bytes(16)))], []), "unknown element type 9"),
        (image([pair("a", TEXT, struct.pack("<Q", 1 << 40))], []), "a string claims 1099511627776"),
        (image([pair("general.alignment", U32, u32(33))], []), "its alignment is 33"),
        (image([pair("general.alignment", I32, u32(0xFFFFFFE0))], []), "its alignment is -32"),
        (image([], [tensor("t", (1,) * 5, 0, 0)]), "tensor 't' has 5 dimensions"),
        (image([], [tensor("t", (1,), 0, 1)]), "tensor 't' is not aligned"),
        (image([], [tensor("t", (1 << 31, 1 << 31), 0, 0)]), "tensor 't' has an impossible size"),
        (image([], [tensor("t", (1,), 0, 1 << 62)]), "tensor 't' has an impossible size"),
        (image([], [tensor("t", (100,), 12, 0)]), "rows of 100, which Q4_K cannot hold"),
        (image([], [tensor("t", (1,), 0, 0)] * 2), "two tensors have the same name"),
    ],
)
def test_unsound_header_is_refused(data: bytes, message: str) -> None:
    assert message in problem(data + bytes(24))


def test_file_that_becomes_shorter_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(SMALL[:-50])
    with open(tmp_path / "m", "rb") as file, pytest.raises(GGUFError, match="shorter while"):
        read_header(file.fileno(), len(SMALL), label="m")


NAMES = {
    "zip": "a ZIP archive or a PyTorch checkpoint",
    "pytorch": "a ZIP archive or a PyTorch checkpoint",
    "pickle": "a Python pickle (an old PyTorch checkpoint)",
    "safetensors": "a safetensors file",
    "ggml": "a model in a GGML format from before GGUF",
    "png": "a PNG image",
    "gzip": "gzip-compressed data",
    "html": "a web page, probably an error or login page saved by a download",
    "json": "JSON text",
    "lfs_pointer": "a Git LFS pointer, not the model itself",
    "text": "a text",
    "elf": "a Linux program",
    "zeros": "zeros, space that a download reserved and never filled",
    "empty": "an empty file",
}


@pytest.mark.parametrize("kind", misfits.NOT_GGUF)
def test_every_stranger_is_named(kind: str) -> None:
    assert f"model.gguf is not a GGUF: it is {NAMES[kind]}" == problem(misfits.NOT_GGUF[kind])


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd-compressed data"),
        (b"\x80\x02\x8a", "a Python pickle (an old PyTorch checkpoint)"),
        (b"\n <?xml", "a web page, probably an error or login page saved by a download"),
        (b"FUGG", "a text"),
    ],
)
def test_some_more_strangers(start: bytes, what: str) -> None:
    assert what == file_magic.identify(start)[0]


@pytest.mark.parametrize("kind", misfits.HOSTILE)
def test_hostile_containers_are_read_or_refused(kind: str) -> None:
    try:
        read(misfits.HOSTILE[kind]())
    except GGUFError as exc:
        assert exc.hint
