"""Second models: an embedding or a reranking model, checked before it goes beside the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.model import lint
from bundler.model.embedding_families import family_of
from bundler.model.split_files import Opened
from runtime.container.second_models import EMBEDDER, RERANKER
from runtime.container.text_form import POOLINGS, TextForm
from runtime.errors import GGUFError
from runtime.gguf.header import Header

RANK = 4
"""LLAMA_POOLING_TYPE_RANK: what models for reranking declare."""
EXAMPLES = "such as multilingual-e5-small, bge-m3, embeddinggemma or Qwen3-Embedding"


@dataclass(frozen=True)
class SecondModel:
    """A GGUF file that goes into a section of its own, stored as it is."""

    kind: str
    opened: Opened
    facts: Mapping[str, Any]
    """For the section: what it is called, its licence …"""
    form: TextForm | None = None
    """How an embedding model is used; None for others."""
    stated: bool = True
    """Whether its header, its family or the user says how it pools."""

    @property
    def section_facts(self) -> dict[str, Any]:
        """Return all facts for the section."""
        return {**self.facts, **(self.form.facts() if self.form else {})}


def embedder(path: Path, prefixes: Mapping[str, str], pooling: str = "") -> SecondModel:
    """Return the embedding model in the GGUF `path`, and how it is used as far as is known.

    The user says what to put before a `query` or a `passage` in `prefixes`, and one of POOLINGS, or
    nothing. Raise GGUFError if it cannot be one.
    """
    opened = _opened(path, EMBEDDER)
    header = opened.header
    declared = header.hyper("pooling_type")
    if declared == RANK and not pooling:
        raise GGUFError(
            f"{path} is a model for reranking: it tells how well a text answers, and makes no "
            "vectors",
            hint=f"give it with --reranker, and an embedding model {EXAMPLES} with --embedder",
        )
    names = [header.text("general.name"), header.text("general.basename"), path.stem]
    family = family_of(names)
    known = next((name for name, number in POOLINGS.items() if number == declared), "")
    chosen = pooling or known or (family.pooling if family else "")
    causal = header.metadata.get(f"{header.architecture}.attention.causal", True)
    if not chosen and causal is not False:
        raise GGUFError(
            f"{path} is no embedding model: its header names no pooling_type, and it generates "
            "text",
            hint=f"give one {EXAMPLES}; if it is one, say how it pools: --embedder-pooling last",
        )
    form = TextForm(
        chosen or "mean",
        prefixes.get("query", family.query if family else ""),
        prefixes.get("passage", family.passage if family else ""),
    )
    return SecondModel(EMBEDDER, opened, _facts(opened), form, bool(chosen))


def reranker(path: Path) -> SecondModel:
    """Return the reranking model in the GGUF `path`; raise GGUFError if it cannot be one."""
    opened = _opened(path, RERANKER)
    if opened.header.hyper("pooling_type") != RANK:
        what = "an embedding model" if _makes_vectors(opened.header) else "another kind of model"
        raise GGUFError(
            f"{path} is no model for reranking, but {what}: its header names no pooling_type 4 "
            "(rank)",
            hint="give it with --embedder"
            if _makes_vectors(opened.header)
            else "give one such as bge-reranker-v2-m3, converted by a recent llama.cpp",
        )
    return SecondModel(RERANKER, opened, _facts(opened))


def _makes_vectors(header: Header) -> bool:
    return header.hyper("pooling_type") in POOLINGS.values()


def _opened(path: Path, kind: str) -> Opened:
    opened = lint.preflight(path)
    if len(opened) > 1:
        raise GGUFError(
            f"{path} is one of {len(opened)} files of a split model, which cannot be the {kind}",
            hint="merge them first: llama-gguf-split --merge",
        )
    return opened[0]


def _facts(opened: Opened) -> dict[str, Any]:
    return lint.facts(opened.header, [opened], opened.path)
