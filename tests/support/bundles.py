"""Write bundles by FORMAT.md alone, without the bundler: sound ones, and ones that lie.

write(path, [stored(b"GGUF…")])                        a bundle of one stored section
write(path, [planes(chunk(b"GGUF"), chunk(b"…", 8))])  the same, compressed in chunks
write(path, [zstd(b"GGUF…", frame=1000)])              the same, as older writers compressed
write(path, manifest={"name": 7}, footer={"flags": 1}) with fields that are not what they are

What the types of weights are made of is read from FORMAT.md itself.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash
import zstandard
from paths import ROOT

SPECIFICATION = (ROOT / "FORMAT.md").read_text(encoding="utf-8")
LAUNCHER = b"#!/bin/false launcher\n"
ARCHIVE = b"archive and its cookie"


@dataclass(frozen=True)
class Part:
    """A section: its bytes in the file, and what the manifest says about it."""

    data: bytes
    entry: dict[str, Any] = field(default_factory=dict)


def stored(original: bytes, **entry: Any) -> Part:
    """Return a stored section; `entry` replaces what the manifest would say."""
    return Part(original, _entry(original, len(original), "stored") | entry)


def zstd(original: bytes, *, frame: int = 4 << 20, **entry: Any) -> Part:
    """Return a section compressed in frames of `frame` bytes, as older writers did."""
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    pieces = [original[start : start + frame] for start in range(0, len(original), frame)]
    frames = [compressor.compress(piece) for piece in pieces]
    sizes = [(len(coded), len(piece)) for coded, piece in zip(frames, pieces, strict=True)]
    return coded_as(b"".join(frames) + seek_table(sizes), original, **entry)


def coded_as(data: bytes, original: bytes, **entry: Any) -> Part:
    """Return a compressed section whose coded bytes are `data`, whatever they are."""
    return Part(data, _entry(original, len(data), "zstd") | entry)


@dataclass(frozen=True)
class Layout:
    """A type of weights as FORMAT.md lists it."""

    name: str
    record: int
    how: str
    """Its last column: what a record holds, and so how records are split."""

    @property
    def fields(self) -> list[tuple[str, int, bool]]:
        """Return name and bytes of each field, and whether it is split into planes."""
        found = re.findall(r"(\*\*)?(\w+)(?:\*\*)? (\d+)(?:, |$)", self.how)
        return [(name, int(width), bool(bold)) for bold, name, width in found]


LAYOUTS = {
    int(number): Layout(name, int(record), how)
    for number, name, record, how in re.findall(
        r"^\| (\d+) \| `(\w+)` \| (\d+) \| (.+) \|$", SPECIFICATION, re.M
    )
}
PLAIN = 255


def split(kind: int, data: bytes) -> list[bytes]:
    """Return the streams of whole records of a type: byte by byte, as FORMAT.md words it."""
    if kind == PLAIN:
        return [data]
    layout = LAYOUTS[kind]
    records = [data[at : at + layout.record] for at in range(0, len(data), layout.record)]
    if layout.how == "bytes apart":
        return [bytes(record[k] for record in records) for k in range(layout.record)]
    if layout.how == "exponent apart":
        bits = [f"{int.from_bytes(record, 'little'):016b}" for record in records]
        rest = bytes(int(number[0] + number[9:], 2) for number in bits)
        return [rest, bytes(int(number[1:9], 2) for number in bits)]
    planes, runs, begin = [], [], 0
    for _, width, bold in layout.fields:
        if bold:
            planes += [bytes(r[k] for r in records) for k in range(begin, begin + width)]
        else:
            runs.append(b"".join(record[begin : begin + width] for record in records))
        begin += width
    return [b"".join(planes), *runs] if planes else runs


@dataclass(frozen=True)
class Chunk:
    """A chunk of a `planes` section: its bytes in the file, and its row of the table."""

    original: bytes
    data: bytes
    row: bytes


def chunk(
    original: bytes,
    kind: int = PLAIN,
    *,
    streams: Sequence[tuple[int, bytes]] | None = None,
    **claims: Any,
) -> Chunk:
    """Return a chunk; `streams` are codings and bytes to write instead of the true ones.

    `claims` replace what its row would say: `size`, `type`, `count` and `xxh3`.
    """
    if streams is None:
        streams = [coded(stream) for stream in split(kind, original)]
    says = {
        "size": len(original), "type": kind, "count": len(streams),
        "xxh3": xxhash.xxh3_128_digest(original),
    } | claims  # fmt: skip
    row = struct.pack("<IBB16s", says["size"], says["type"], says["count"], says["xxh3"])
    row += b"".join(struct.pack("<BI", coding, len(data)) for coding, data in streams)
    return Chunk(original, b"".join(data for _, data in streams), row)


def coded(stream: bytes) -> tuple[int, bytes]:
    """Return a stream as a frame, or as it is where that is shorter; its coding first."""
    frame = zstandard.ZstdCompressor().compress(stream)
    return (1, frame) if len(frame) < len(stream) else (0, stream)


def petabyte(original: bytes, **entry: Any) -> Part:
    """Return a section that begins as told, and then claims far more than any machine has room for.

    It is sound as far as its table says: only decoding would show that the rest is none.
    """
    pieces = 20_000
    rest = [chunk(b"", size=64 << 20, streams=[(1, b"?")])] * pieces
    size = len(original) + pieces * (64 << 20)
    return planes(chunk(original), *rest, **{"size": size, **entry})


def planes(*chunks: Chunk, table: bytes | None = None, **entry: Any) -> Part:
    """Return a section of chunks; `table` replaces table and tail."""
    data = b"".join(chunk.data for chunk in chunks)
    original = b"".join(chunk.original for chunk in chunks)
    if table is None:
        table = chunk_table([chunk.row for chunk in chunks])
    return planes_as(data + table, original, **entry)


def planes_as(data: bytes, original: bytes, **entry: Any) -> Part:
    """Return a section of that codec whose coded bytes are `data`, whatever they are."""
    known = {"coded_sha256": hashlib.sha256(data).hexdigest()}
    return Part(data, _entry(original, len(data), "planes") | known | entry)


def chunk_table(rows: Sequence[bytes], *, packed: bytes | None = None, **tail: Any) -> bytes:
    """Return table and tail; `packed` replaces the coded table, `tail` what the tail would say.

    The tail says `magic`, `chunks`, `length`, `size` and `crc`.
    """
    table = b"".join(rows)
    if packed is None:
        packed = zstandard.ZstdCompressor().compress(table)
    says = {
        "magic": b"MEPLANES", "chunks": len(rows), "length": len(packed), "size": len(table),
    } | tail  # fmt: skip
    start = struct.pack("<8sQII", says["magic"], says["chunks"], says["length"], says["size"])
    crc = says.get("crc", zlib.crc32(packed + start))
    return packed + start + struct.pack("<I", crc)


def seek_table(sizes: Sequence[tuple[int, int]]) -> bytes:
    """Return the seek table for frames of the given compressed and original sizes."""
    rows = b"".join(struct.pack("<II", *row) for row in sizes)
    body = rows + struct.pack("<IBI", len(sizes), 0, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(body)) + body


def _entry(original: bytes, length: int, codec: str) -> dict[str, Any]:
    digest = hashlib.sha256(original).hexdigest()
    entry = {"name": "model", "kind": "model", "codec": codec, "sha256": digest}
    return {**entry, "length": length, "size": len(original)}


def write(
    path: Path,
    parts: Sequence[Part] = (),
    *,
    manifest: Mapping[str, Any] | bytes = {},
    footer: Mapping[str, Any] = {},
    behind: bytes = b"",
    launcher: bytes = LAUNCHER,
) -> Path:
    """Write a bundle; `manifest` and `footer` replace what would be true.

    `manifest` may also be the very bytes, and `behind` is put behind the footer.
    """
    with open(path, "wb") as file:
        file.write(launcher)
        entries = []
        for part in parts:
            offset = _pad(file, 2 << 20)
            file.write(part.data)
            entries.append({"offset": offset, **part.entry})
        encoded = manifest if isinstance(manifest, bytes) else document(entries, **manifest)
        manifest_offset = _pad(file, 16)
        file.write(encoded)
        pkg_offset = _pad(file, 16)
        file.write(ARCHIVE)
        fields = {
            "prefix_length": len(launcher),
            "manifest_offset": manifest_offset,
            "manifest_length": len(encoded),
            "pkg_offset": pkg_offset,
            "pkg_length": len(ARCHIVE),
            "offset": file.tell(),
            "manifest_sha256": hashlib.sha256(encoded).digest(),
        }
        file.write(pack_footer(**{**fields, **footer}) + behind)
    return path


def _pad(file: Any, alignment: int) -> int:
    position = -(-file.tell() // alignment) * alignment
    file.seek(position)  # a hole, so that the files stay small on disk
    return int(position)


def document(entries: Sequence[Mapping[str, Any]] = (), /, **changes: Any) -> bytes:
    """Return a manifest's bytes; a value of `...` leaves its key out."""
    keys = {
        "format": 1, "name": "Test", "sections": list(entries), "defaults": {}, "model": {},
        "stub": {}, "tool": "bundles.py",
    } | changes  # fmt: skip
    kept = {key: value for key, value in keys.items() if value is not ...}
    return json.dumps(kept, ensure_ascii=True).encode()


def pack_footer(
    *,
    magic: bytes = b"MODELEMB",
    version: int = 1,
    flags: int = 0,
    prefix_length: int,
    manifest_offset: int,
    manifest_length: int,
    pkg_offset: int,
    pkg_length: int,
    offset: int,
    manifest_sha256: bytes,
    signature_length: int = 0,
    runtime_id: bytes = bytes(16),
    crc: int | None = None,
) -> bytes:
    """Return a footer's bytes, with a correct checksum unless `crc` is given."""
    words = struct.pack(
        "<QQQQQQ", prefix_length, manifest_offset, manifest_length, pkg_offset, pkg_length, offset
    )
    start = magic + struct.pack("<II", version, flags) + words + manifest_sha256
    start += struct.pack("<Q", signature_length) + runtime_id
    return start + struct.pack("<I", zlib.crc32(start) if crc is None else crc)
