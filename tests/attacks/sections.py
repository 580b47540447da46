"""Sections that overlap, leave the file, or have names that leave the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles

COMMAND, CODES = "inspect", (1,)
MIB2 = 2 << 20


def section(**entry: Any) -> Callable[[Path], object]:
    return lambda path: bundles.write(path, [bundles.stored(b"GGUF", **entry)])


def two(**second: Any) -> Callable[[Path], object]:
    parts = [bundles.stored(b"GGUF"), bundles.stored(b"GGUF", **{"name": "second", **second})]
    return lambda path: bundles.write(path, parts)


NAMES = {
    "empty": "", "dot": ".", "parent": "..", "absolute": "/etc/passwd", "up": "../../.profile",
    "backslash": "..\\model", "zero": "a\0b", "line": "a\nb", "escape": "\x1b]0;owned\x07",
    "backwards": "\u202egnp.exe", "surrogate": "\ud800",
}  # fmt: skip

ATTACKS: dict[str, Callable[[Path], object]] = {
    "over-the-launcher": section(offset=0),
    "over-itself": two(offset=MIB2),
    "over-the-manifest": section(length=1 << 20, size=1 << 20),
    "behind-the-file": section(offset=1 << 40),
    "at-the-end-of-numbers": section(offset=(1 << 63) - MIB2),
    "beyond-the-end-of-numbers": section(offset=1 << 64),
    "negative-offset": section(offset=-MIB2),
    "negative-length": section(length=-1, size=-1),
    "length-huge": section(length=(1 << 63) - 1, size=(1 << 63) - 1),
    "size-huge": section(size=1 << 63, codec="zstd"),
    "not-aligned": section(offset=MIB2 + 4096),
    "two-sizes": section(size=5),
    "offset-fraction": section(offset=2097152.0),
    "unknown-kind": section(kind="autorun"),
    "unknown-codec": section(codec="lzma"),
    "hash-short": section(sha256="00"),
    "hash-text": section(sha256="x" * 64),
    "same-name": two(name="model"),
    **{f"name-{key}": section(name=name) for key, name in NAMES.items()},
}
