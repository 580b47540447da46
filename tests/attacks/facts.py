"""Facts for people that are not what people expect: shown or refused, but never a crash.

Facts decide nothing, so a bundle with odd ones may well be shown. What is shown must not steer
the terminal that it is shown on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles

COMMAND, CODES = "inspect", (0, 1)
ESCAPE = "\x1b]0;owned\x07\x1b[2J\r\x9b31m"


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def facts(**keys: Any) -> Callable[[Path], object]:
    return lambda path: bundles.write(path, [bundles.stored(b"GGUF")], manifest=keys)


def everywhere(value: Any) -> Callable[[Path], object]:
    """Return a builder of a bundle where every fact that is shown is this value."""
    keys = ("name", "architecture", "parameters", "quantization", "license", "context", "file")
    return facts(
        model=dict.fromkeys(keys, value),
        stub=dict.fromkeys(("engine", "python", "glibc", "id", "variants"), value),
        defaults={"system": value},
    )


def embedder(value: Any) -> Callable[[Path], object]:
    """Return a builder of a bundle whose embedder says this of everything."""
    keys = ("name", "pooling", "dimensions", "query_prefix", "passage_prefix", "license", "file")
    part = bundles.stored(
        b"GGUF", name="embedder", kind="embedder", facts=dict.fromkeys(keys, value)
    )
    return lambda path: bundles.write(path, [part])


VALUES: dict[str, Any] = {
    "text": "many", "array": [1], "texts": ["a", ESCAPE], "object": {"a": 1}, "true": True,
    "negative": -1, "huge": 10**400, "surrogate": "\ud800", "escape": ESCAPE, "lines": "a\n" * 5,
    "deep": nested(300),
}  # fmt: skip

ATTACKS: dict[str, Callable[[Path], object]] = {
    **{kind: everywhere(value) for kind, value in VALUES.items()},
    "parameters-text": facts(model={"parameters": "many"}),
    "parameters-huge": facts(model={"parameters": 10**400}),
    "parameters-infinite": lambda path: bundles.write(
        path, manifest=bundles.document(model={"parameters": 7}).replace(b"7", b"1e999")
    ),
    **{f"embedder-{kind}": embedder(value) for kind, value in VALUES.items()},
    "stub-id-number": facts(stub={"id": 5}),
    "variants-number": facts(stub={"variants": 7}),
    "variants-numbers": facts(stub={"variants": [1, 2]}),
    "name-surrogate": facts(name="\ud800"),
    "name-escape": facts(name=ESCAPE),
    "tool-surrogate": facts(tool="\udfff"),
    "tool-escape": facts(tool=ESCAPE),
    "default-escape-in-its-name": facts(defaults={ESCAPE: 1}),
    "default-unknown": facts(defaults={"rm -rf": True}),
    "default-long": facts(defaults={"system": "x" * 1_000_000}),
    "very-deep": facts(model={"a": nested(900)}),
}
