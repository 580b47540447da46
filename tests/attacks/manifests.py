"""Manifests that are no JSON, or JSON of the wrong kind, with a footer that vouches for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles

COMMAND, CODES = "inspect", (1,)


def saying(data: bytes) -> Callable[[Path], object]:
    return lambda path: bundles.write(path, manifest=data)


def holding(**keys: Any) -> Callable[[Path], object]:
    return lambda path: bundles.write(path, [bundles.stored(b"GGUF")], manifest=keys)


def with_value(value: bytes) -> bytes:
    """Return a manifest with these very bytes as a fact."""
    return bundles.document(model={"parameters": 7}).replace(b"7", value)


ATTACKS: dict[str, Callable[[Path], object]] = {
    "no-json": saying(b"not json"),
    "zeros": saying(bytes(1000)),
    "no-utf8": saying(b'{"name":"\xff"}'),
    "utf16": saying("{}".encode("utf-16")),
    "byte-order-mark": saying(b"\xef\xbb\xbf" + bundles.document()),
    "two-documents": saying(bundles.document() * 2),
    "array": saying(b"[]"),
    "number": saying(b"7"),
    "null": saying(b"null"),
    "empty-object": saying(b"{}"),
    "nested-arrays": saying(b"[" * 1_000_000),
    "nested-objects": saying(b'{"a":' * 1_000_000),
    "nested-fact": saying(with_value(b"[" * 100_000 + b"]" * 100_000)),
    "nan": saying(with_value(b"NaN")),
    "infinity": saying(with_value(b"-Infinity")),
    "long-number": saying(with_value(b"9" * 1_000_000)),
    "format-2": holding(format=2),
    "format-true": holding(format=True),
    "format-huge": holding(format=10**100),
    "name-missing": holding(name=...),
    "name-number": holding(name=7),
    "sections-object": holding(sections={}),
    "sections-of-numbers": holding(sections=[1, 2, 3]),
    "sections-of-nothing": holding(sections=[{}]),
    "defaults-array": holding(defaults=[]),
    "model-text": holding(model="GGUF"),
    "stub-null": holding(stub=None),
    "tool-missing": holding(tool=...),
}
