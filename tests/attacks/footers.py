"""Footers that lie: about where things are, how long they are, and about being a footer."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles

COMMAND, CODES = "inspect", (1,)
HUGE = (1 << 64) - 1


def lying(**fields: Any) -> Callable[[Path], object]:
    return lambda path: bundles.write(path, [bundles.stored(b"GGUF")], footer=fields)


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Return a builder of a sound bundle whose bytes are changed afterwards."""

    def build(path: Path) -> None:
        data = bundles.write(path).read_bytes()
        path.write_bytes(change(data))

    return build


def sparse(length: int) -> Callable[[Path], object]:
    """Return a builder of a file with an archive of that many bytes, which takes none on disk."""

    def build(path: Path) -> None:
        (pkg_offset,) = struct.unpack_from("<Q", bundles.write(path).read_bytes(), -124 + 40)
        end = pkg_offset + length
        footer = bundles.write(path, footer={"pkg_length": length, "offset": end}).read_bytes()
        with open(path, "r+b") as file:
            file.truncate(pkg_offset)
            file.seek(end)
            file.write(footer[-124:])

    return build


ATTACKS: dict[str, Callable[[Path], object]] = {
    "no-magic": lying(magic=b"MODELEMC"),
    "version-0": lying(version=0),
    "version-2": lying(version=2),
    "version-max": lying(version=(1 << 32) - 1),
    "unknown-flag": lying(flags=1),
    "all-flags": lying(flags=(1 << 32) - 1),
    "wrong-checksum": lying(crc=0),
    "wrong-hash": lying(manifest_sha256=bytes(32)),
    "prefix-huge": lying(prefix_length=HUGE),
    "manifest-before-launcher": lying(manifest_offset=0),
    "manifest-at-the-end-of-numbers": lying(manifest_offset=HUGE),
    "manifest-huge": lying(manifest_length=HUGE),
    "manifest-just-too-long": lying(manifest_length=(16 << 20) + 1),
    "manifest-over-the-archive": lying(manifest_length=1 << 20),
    "manifest-empty": lying(manifest_length=0),
    "archive-huge": lying(pkg_length=HUGE),
    "archive-of-gigabytes": sparse(60 << 30),
    "archive-over-the-footer": lying(pkg_length=100),
    "sum-wraps-around": lying(pkg_offset=HUGE - 10, pkg_length=20),
    "footer-elsewhere": lying(offset=0),
    "footer-at-the-end-of-numbers": lying(offset=HUGE),
    "footer-of-another-file": changed(lambda data: bytes(100_000) + data[-124:]),
    "footer-alone": changed(lambda data: data[-124:]),
    "footer-cut": changed(lambda data: data[:-1]),
    "magic-alone": changed(lambda data: b"MODELEMB"),
    "magic-behind-the-footer": changed(lambda data: data + b"MODELEMB"),
    "magics-only": changed(lambda data: b"MODELEMB" * 20_000),
    "something-before": changed(lambda data: b"#" + data),
    "something-removed": changed(lambda data: data[1:]),
    "nothing": changed(lambda data: b""),
}
