"""Files that are read: bundles, their parts, models, signatures, saved conversations."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import indexes

from fuzz.target import Target
from runtime.commands.bundles import verify_extract
from runtime.container import bundle_file, minisign
from runtime.container.layout import Footer, Manifest
from runtime.dialogue import session_file
from runtime.gguf.header import parse_header
from runtime.weights import chunk_table, zstd_seekable
from runtime.weights.byte_planes import LAYOUTS, Buffer, streams_of

TESTS = Path(__file__).parent.parent
GOLDEN = TESTS / "golden"


def footer(data: bytes) -> None:
    """Whatever is accepted must say the same again."""
    assert Footer.decode(data).encode()[:104] == data[:104]


def manifest(data: bytes) -> None:
    """What is accepted must be writable, and mean the same when it is read again."""
    found = Manifest.decode(data)
    assert Manifest.decode(found.encode()) == found


def chunks_of(data: bytes) -> None:
    """A table that is accepted accounts for every byte."""
    streams, size = 1 << 20, 2 << 20
    for chunk in chunk_table.decode(data, streams + len(data), size):
        assert 0 <= chunk.offset and chunk.offset + chunk.length <= streams
        assert 0 < chunk.size and chunk.target + chunk.size <= size


def seek_table(data: bytes) -> None:
    """The same for the table of older bundles."""
    for frame in zstd_seekable.decode(data, 12 + len(data), 64 + (4 << 20)):
        assert frame.offset + frame.length <= 12


def transforms(data: bytes) -> None:
    """Split and join undo each other for every type, whatever the bytes."""
    for kind, layout in LAYOUTS.items():
        count = len(data) // layout.record
        records = data[: count * layout.record]
        if not count:
            continue
        streams, joined = Buffer(len(records)), Buffer(len(records))
        layout.split(records, streams, count)
        sizes = [stream.size for stream in streams_of(kind, len(records))]
        places = [streams.address + sum(sizes[:i]) for i in range(len(sizes))]
        layout.join(places, joined, count)
        assert bytes(joined.view) == records, f"type {kind}"
        assert sum(sizes) == len(records)


def bundle(data: bytes) -> None:
    """A bundle that passes verification holds exactly what was put in."""
    fd, name = tempfile.mkstemp()
    try:
        os.write(fd, data)
        opened = bundle_file.load(name)
        try:
            list(verify_extract.verify(opened))
            for section in opened.manifest.sections:
                digest = hashlib.sha256()
                for piece in verify_extract.original_bytes(opened, section):
                    digest.update(piece)
                assert digest.hexdigest() == section.sha256
        finally:
            opened.close()
    finally:
        os.close(fd)
        os.unlink(name)


def model_header(data: bytes) -> None:
    """A header is read within its file, in bounded memory."""
    header = parse_header(data, label="it")
    assert header.data_offset >= 0


def signature(data: bytes) -> None:
    """A signature that is accepted says the same again."""
    found = minisign.Signature.parse(data)
    assert minisign.Signature.parse(found.encode()) == found


def index(data: bytes) -> None:
    """An index of documents is searched and listed, or refused."""
    indexes.survey(data)


def conversation(data: bytes) -> None:
    """A saved conversation is read whole, as text, or not at all."""
    fd, name = tempfile.mkstemp()
    try:
        os.write(fd, data)
        found = session_file.read(Path(name))
        assert not (found.state_error and found.state)
    finally:
        os.close(fd)
        os.unlink(name)


def _gguf() -> bytes:
    return (TESTS.parent / "models" / "demo.gguf").read_bytes()[:60_000]


def _bundle(name: str) -> bytes:
    return (GOLDEN / f"bundle-v1-{name}.bin").read_bytes()


def _conversation() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talk"
        turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
        session_file.SessionFile("Be kind.", turns, {"model": "m"}, [1, 2, 3], b"state").write(path)
        return path.read_bytes()


def _table() -> bytes:
    coded = (
        chunk_table.Coded(chunk_table.RAW, 1 << 19),
        chunk_table.Coded(chunk_table.ZSTD, 1 << 19),
    )
    return chunk_table.encode([chunk_table.Chunk(0, 0, 2 << 20, 1, coded, bytes(16))])


TARGETS = {
    "footer": Target(
        footer, lambda: [(GOLDEN / f"footer-v{version}.bin").read_bytes() for version in (1, 2)]
    ),
    "manifest": Target(
        manifest,
        lambda: [(GOLDEN / f"manifest-v1{name}.json").read_bytes() for name in ("", "-planes")],
    ),
    "chunk_table": Target(chunks_of, lambda: [_table()]),
    "seek_table": Target(seek_table, lambda: [_bundle("zstd")[-4096:]]),
    "transforms": Target(transforms, lambda: [bytes(range(256)) * 20]),
    "bundle": Target(bundle, lambda: [_bundle(name) for name in ("stored", "planes", "zstd")]),
    "model_header": Target(model_header, lambda: [_gguf()]),
    "signature": Target(
        signature, lambda: [(GOLDEN / "minisign" / "prehashed.minisig").read_bytes()]
    ),
    "index": Target(index, lambda: [(GOLDEN / "documents-v1.bin").read_bytes()]),
    "conversation": Target(conversation, lambda: [_conversation()]),
}
