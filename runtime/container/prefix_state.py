"""Prompt state section: the tokens that every conversation begins with, and their KV cache.

FORMAT.md, "The kind `state`", specifies it: a line of JSON that says what the state belongs to and
for which tokens, then the state as the engine gives it, coded in chunks that each have a hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime import bounds
from runtime.errors import DAMAGED, PayloadError

if TYPE_CHECKING:
    from runtime.container.bundle_file import Bundle
    from runtime.container.layout import Section
    from runtime.gguf.header import Header
    from runtime.options.registry import Options

KIND, NAME = "state", "beginning"
ALIGNMENT = 4096  # of the state in the original, so that it can be used where it was restored

REASONS = {
    "model": "it was computed with another model",
    "engine": "it was computed by another build of the engine",
    "cache": "the engine keeps states in another form",
    "positions": "with this context size the model counts positions in another way",
    "adapters": "other adapters are used, or at another strength",
    "system": "the system prompt is another",
    "template": "the chat template is another",
    "think": "the switch for thinking stands another way",
}
"""What a state depends on, beside its tokens; and what to say where that differs."""
OF_CONVERSATIONS = {**REASONS, "projector": "the projector for pictures and sounds is another"}
"""The same of a conversation's, in which pictures and sounds may be."""


@dataclass(frozen=True)
class PrefixState:
    """The head of a prompt state section."""

    key: Mapping[str, str]
    """What it was computed with, by the names in REASONS."""
    tokens: list[int]
    """The tokens whose state it is."""
    offset: int
    """Where the state begins in the original."""


def head(key: Mapping[str, str], tokens: list[int]) -> bytes:
    """Return the head of the section's original: a line of JSON, padded to ALIGNMENT."""
    line = json.dumps({"key": dict(key), "tokens": tokens}, sort_keys=True).encode()
    return line.ljust(-(-(len(line) + 1) // ALIGNMENT) * ALIGNMENT - 1) + b"\n"


def section_of(bundle: Bundle) -> Section | None:
    """Return the prompt state section of `bundle`, if it has one."""
    return next((s for s in bundle.manifest.sections if s.kind == KIND), None)


def read(pieces: Iterable[memoryview], label: str) -> PrefixState:
    """Return the head of a prompt state section; raise PayloadError where it is damaged.

    `pieces` are its original bytes in order, of which no more are taken than needed; `label` is
    its name.
    """
    start, separator = bytearray(), b""
    for piece in pieces:
        line, separator, _ = bytes(piece).partition(b"\n")
        start += line
        if separator or len(start) > bounds.STATE_HEAD:
            break
    try:
        found = json.loads(start) if separator and len(start) <= bounds.STATE_HEAD else None
    except (ValueError, RecursionError):
        found = None
    key, tokens = (found.get("key"), found.get("tokens")) if isinstance(found, dict) else (0, 0)
    if not (
        isinstance(key, dict)
        and all(isinstance(value, str) for value in key.values())
        and isinstance(tokens, list)
        and all(type(token) is int for token in tokens)
    ):
        raise PayloadError(f"the part '{label}' is no state", hint=DAMAGED)
    return PrefixState(key, tokens, len(start) + 1)


def difference(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Return why a state with the key `found` does not fit `expected`; empty if it fits.

    What is not `expected` at all is not looked at.
    """
    for name, reason in OF_CONVERSATIONS.items():
        if name in expected and found.get(name) != expected[name]:
            return reason
    return "" if found.keys() <= OF_CONVERSATIONS.keys() else "it was made by another release"


def conversation_key(
    options: Options, strengths: Mapping[str, float], sections: Iterable[Section]
) -> dict[str, str]:
    """Return the part of a key that depends on options and adapters."""
    return {
        "adapters": adapters_key(strengths, sections),
        "system": _digest(options.system),
        "template": _digest(options.chat_template),
        "think": "yes" if options.think else "no",
    }


def adapters_key(strengths: Mapping[str, float], sections: Iterable[Section]) -> str:
    """Return a key of the adapters in use: hashes of sections, else names of files."""
    hashes = {section.name: section.sha256 for section in sections if section.kind == "adapter"}
    return ",".join(f"{hashes.get(name, name)}={scale:g}" for name, scale in strengths.items())


def positions(header: Header, context: int) -> str:
    """Return which of its two RoPE scalings a model uses, "long" or "short"; empty if it has one.

    llama.cpp takes other factors as soon as the context is longer than the original one.
    """
    original = header.hyper("rope.scaling.original_context_length")
    return ("long" if context > original else "short") if original else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest() if text else ""
