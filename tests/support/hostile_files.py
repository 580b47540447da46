"""Hostile files: saved conversations, models and bundles, and models with such templates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ggufs
import misfits
from hostile_texts import ESCAPES, TEMPLATES, listed

Change = Callable[[bytes], bytes]
Build = Callable[[Path], object]
USER = {"role": "user", "content": "Hi"}


def with_header(**fields: Any) -> Change:
    """Return a change of what a saved conversation says of itself; its hash fits again."""

    def change(saved: bytes) -> bytes:
        header = {**json.loads(saved.splitlines()[0]), **fields}
        line = json.dumps(header).encode() + b"\n"
        return line + hashlib.sha256(line).digest()

    return change


def flipped(place: int) -> Change:
    """Return a change of one bit."""
    return lambda saved: saved[:place] + bytes([saved[place] ^ 4]) + saved[place:][1:]


REFUSED_SESSIONS: Mapping[str, Change] = {
    "nothing": lambda _: b"",
    "noise": lambda _: bytes(range(256)) * 99,
    "zeros": lambda _: bytes(10_000),
    "a line that is cut": lambda saved: saved[:40],
    "no object": lambda _: b"[]\n",
    "deep": lambda _: b"[" * 1_000_000,
    "a long line": lambda _: b'{"kind": "' + b"a" * 5_000_000,
    "another kind": with_header(kind="something"),
    "another version": with_header(version=99),
    "a version of digits": lambda saved: saved.replace(
        b'"version": 1', b'"version": ' + b"1" * 9000
    ),
    "no turns": with_header(turns=None),
    "turns that are texts": with_header(turns=["Hi"]),
    "a turn of another role": with_header(turns=[{"role": "root", "content": "Hi"}]),
    "a turn with more": with_header(turns=[{**USER, "x": 1}]),
    "a turn of a list": with_header(turns=[{"role": "user", "content": ["Hi"]}]),
    "no system prompt": with_header(system=5),
    "tokens that are texts": with_header(tokens=["1"]),
    "a state that is a text": with_header(state="5"),
}
OPENED_SESSIONS: Mapping[str, Change] = {
    "a state that is cut": lambda saved: saved[:-500],
    "a state that is longer": lambda saved: saved + bytes(500),
    "a bit of the state": flipped(-200),
    "a bit of the hash": flipped(-40),
    "a bit of the key's": flipped(-1),
    "a state below nothing": with_header(state=-1),
    "a huge state": with_header(state=1 << 62),
    "a huger state": with_header(state=10**400),
    "tokens that there are not": with_header(tokens=[2**40, -5]),
    "another model's": with_header(key={"model": "x" * 9000}),
    "a deep key": with_header(key={"model": listed(900)}),
    "escapes": with_header(system=ESCAPES, turns=[{"role": "user", "content": ESCAPES}]),
    "answers only": with_header(turns=[{"role": "assistant", "content": "Yes."}] * 9),
    "many turns": with_header(turns=[USER, {"role": "assistant", "content": "Yes."}] * 3000),
    "a long turn": with_header(turns=[{"role": "user", "content": "word " * 200_000}]),
    "surrogates": with_header(turns=[{"role": "user", "content": "\ud800"}]),
    "NULs": with_header(turns=[{"role": "user", "content": "\0" * 500}]),
}
MODELS: Mapping[str, Build] = {
    **{f"GGUF {kind}": lambda path, kind=kind: misfits.hostile(path, kind)  # type: ignore[misc]
       for kind in misfits.HOSTILE},
    **{f"no GGUF: {kind}": lambda path, kind=kind: misfits.not_gguf(path, kind)  # type: ignore[misc]
       for kind in misfits.NOT_GGUF},
    **{f"refused: {kind}": lambda path, kind=kind: misfits.refused(path, kind)  # type: ignore[misc]
       for kind in misfits.REFUSED},
    "cut": misfits.truncated,
    "of another architecture": misfits.unknown_architecture,
    "a vocabulary alone": misfits.vocabulary_only,
}  # fmt: skip


def with_template(name: str) -> Build:
    """Return a builder of a model whose chat template is that hostile one."""
    return lambda path: ggufs.write_model(path, chat_template=TEMPLATES[name])
