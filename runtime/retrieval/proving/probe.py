"""Second model probe: what the bundler asks the engine about a second model, and has it compute."""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from runtime.container import bundle_file
from runtime.container.text_form import TextForm
from runtime.errors import UsageError
from runtime.model import engine_build
from runtime.model.model_file import open_file
from runtime.options.registry import Options
from runtime.retrieval.embedding import LocalEmbedder, open_embedder
from runtime.retrieval.proving import proof


def prove(kind: str, path: Path, form: str) -> Iterator[dict[str, Any]]:
    """Yield how the model at `path` ranks, as an `embedder` used in `form` or as a `reranker`.

    `form` are the facts of a section, as JSON. Raise AppError if it cannot be used.
    """
    options = Options()
    engine_build.start_engine(options)
    source = open_file(path)
    if kind == "reranker":
        yield proof.ranker_verdict(source, options)
    else:
        yield from proof.embedder_verdicts(source, _form(form), options)


def embed(path: Path, form: str, questions: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the vectors of texts by the model at `path`; first, what kind of vectors these are.

    Without a `form`, it is the embedding model of the bundle at `path`. Each of the `questions` is
    JSON, with one text as `query`, or a list of them as `passages`; each answer has the vectors one
    behind the other, as base64 of 32-bit floats. Raise AppError if the model cannot be used.
    """
    options = Options()
    engine_build.start_engine(options)
    if form:
        embedder = LocalEmbedder(open_file(path), _form(form), options)
    else:
        bundle = bundle_file.load(path)
        found = open_embedder(bundle, options)
        if found is None:
            raise UsageError(f"{path} has no embedder in it", hint="bundle one with --embedder")
        embedder = found
    yield {"dimensions": embedder.dimensions, "identity": embedder.identity}
    for line in questions:
        question = json.loads(line)
        if "query" in question:
            vectors = [embedder.query(question["query"])]
        else:
            vectors = embedder.passages(question["passages"])
        numbers = array("f", (number for vector in vectors for number in vector))
        yield {"vectors": base64.b64encode(numbers.tobytes()).decode()}


def _form(text: str) -> TextForm:
    try:
        facts = json.loads(text)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        raise UsageError(f"--form '{text}' is no object of JSON", hint="bundle passes it")
    return TextForm.of(facts, "embedder")
