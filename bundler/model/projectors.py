"""Projectors: the one that lets a model take pictures or sound, checked, or found beside it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from bundler.model import lint, split_files
from bundler.model.split_files import Opened
from runtime.errors import AppError
from runtime.gguf import projector
from runtime.gguf.projector import Traits

MARK = "mmproj"
"""What is in the name of every projector's file, by custom."""
NAMES = ("general.basename", "general.name")
"""Keys that a model and its projector have in common, if one program converted both."""
PRECISIONS = ("F16", "BF16", "Q8_0", "F32")
"""The better first: rounding to 16 bits changes nothing that is seen, and more is only larger."""


@dataclass(frozen=True)
class Projector:
    """A GGUF file that goes into a section of its own."""

    opened: Opened
    traits: Traits
    facts: Mapping[str, Any]
    """For the section: what it is called, its licence, what it takes …"""


def load(path: Path, model: Opened) -> Projector:
    """Return the projector in the GGUF `path`; raise GGUFError if it is none or does not fit."""
    opened = split_files.open_file(path)
    try:
        found = projector.traits(opened.header, str(path))
        lint.check_complete(opened)
        projector.check_fit(found, str(path), model.header, str(model.path))
        facts = lint.facts(opened.header, [opened], path)
    except BaseException:
        os.close(opened.fd)
        raise
    return Projector(opened, found, {**facts, **found.facts()})


def beside(model: Opened) -> list[Projector]:
    """Return the projectors in the folder of `model` that fit it, the likeliest first.

    Whatever cannot be read there, or is something else, is no candidate.
    """
    found = []
    folder = model.path.parent
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            if MARK in path.name.lower() and path.suffix.lower() == ".gguf":
                with contextlib.suppress(AppError):
                    found.append(load(path, model))
    return sorted(found, key=lambda one: _distance(one, model))


def _distance(one: Projector, model: Opened) -> tuple[bool, int, int]:
    """Return how unlike a projector is one of `model`: by its header, its file's name, its type."""
    same = any(
        (text := one.opened.header.text(key)) and text == model.header.text(key) for key in NAMES
    )
    name = one.opened.path.name.lower().replace(MARK, "").strip("-._")
    pairs = zip(name, model.path.name.lower(), strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    kind = one.facts.get("quantization")
    place = PRECISIONS.index(kind) if kind in PRECISIONS else len(PRECISIONS)
    return not same, -common, place
