"""Write bundles by FORMAT.md alone, without the bundler: sound ones, and ones that lie.

write(path, [stored(b"GGUF…")])                        a bundle of one stored section
write(path, [zstd(b"GGUF…", frame=1000)])              the same, compressed
write(path, manifest={"name": 7}, footer={"flags": 1}) with fields that are not what they are
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

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
    """Return a section compressed in frames of `frame` bytes."""
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    pieces = [original[start : start + frame] for start in range(0, len(original), frame)]
    frames = [compressor.compress(piece) for piece in pieces]
    sizes = [(len(coded), len(piece)) for coded, piece in zip(frames, pieces, strict=True)]
    return coded_as(b"".join(frames) + seek_table(sizes), original, **entry)


def coded_as(data: bytes, original: bytes, **entry: Any) -> Part:
    """Return a compressed section whose coded bytes are `data`, whatever they are."""
    return Part(data, _entry(original, len(data), "zstd") | entry)


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
    reserved: bytes = bytes(24),
    crc: int | None = None,
) -> bytes:
    """Return a footer's bytes, with a correct checksum unless `crc` is given."""
    words = struct.pack(
        "<QQQQQQ", prefix_length, manifest_offset, manifest_length, pkg_offset, pkg_length, offset
    )
    start = magic + struct.pack("<II", version, flags) + words + manifest_sha256 + reserved
    return start + struct.pack("<I", zlib.crc32(start) if crc is None else crc)
