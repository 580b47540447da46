"""Second models: the sections that hold an embedding or a reranking model, and what they tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.container.text_form import POOLINGS

EMBEDDER, RERANKER = KINDS = ("embedder", "reranker")
"""Kinds of sections, and the names that `bundle` gives the sections."""


def sections_of(bundle: Bundle) -> Sequence[Section]:
    """Return the second models of `bundle`."""
    return [section for section in bundle.manifest.sections if section.kind in KINDS]


def section_of(bundle: Bundle | None, kind: str) -> Section | None:
    """Return the second model of that kind; None if there is none."""
    sections = bundle.manifest.sections if bundle else ()
    return next((section for section in sections if section.kind == kind), None)


def line(kind: str, facts: Mapping[str, Any]) -> str:
    """Return what a second model is and how it is used, in words; facts are a stranger's."""
    name = str(facts.get("name") or "a model without a name")
    if kind == RERANKER:
        return f"{name}, which puts passages in order"
    pooling = str(facts.get("pooling"))
    words = [f"{name}, vectors of {facts.get('dimensions')} numbers"]
    words.append(f"pooling {pooling}" if pooling in POOLINGS else "pooling unknown")
    for side in ("query", "passage"):
        if text := facts.get(f"{side}_prefix"):
            words.append(f"{side} begins with {str(text)!r}")
    return ", ".join(words)
