"""Second model proof: let the engine rank pairs of sentences by a second model, before it is used.

The runtime does so in a child process, see `runtime.retrieval.proving`. What it found once, of
files that did not change, it is not asked again.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bundler import run_program
from bundler.file_cache import FileCache
from bundler.model.second_models import EXAMPLES, SecondModel
from runtime.container.second_models import EMBEDDER
from runtime.container.text_form import NAMES
from runtime.errors import AppError, GGUFError

SECONDS = 900
"""That a large model on a slow processor may take for all poolings."""
Line = Mapping[str, Any]


def proved(stub: Path, model: SecondModel) -> tuple[SecondModel, list[str]]:
    """Return `model` with what the engine in `stub` says about it, and sentences for the user.

    Raise GGUFError if it cannot be relied upon, saying what would help.
    """
    found = _asked(stub, model)
    first, others = found[0], found[1:]
    best = max(others, key=lambda line: int(line["right"]), default=None)
    # A model of another language than English is one if nothing else makes more of it.
    alone = first["languages"] and best is not None and first["right"] > best["right"]
    if not first["passes"] and not (model.kind == EMBEDDER and alone):
        raise _refused(model, first, others)
    return _described(model, first)


def _described(model: SecondModel, line: Line) -> tuple[SecondModel, list[str]]:
    languages = ", ".join(line["languages"])
    said = []
    if form := model.form:
        model = replace(model, form=replace(form, dimensions=int(line["dimensions"])))
        if not model.stated:
            said.append(
                f"warning: the embedder's header does not say how it pools: '{form.pooling}' was "
                "tried, and ranks rightly"
            )
    name = model.facts.get("name") or model.opened.path.name
    said.append(f"{model.kind}: {name}{_used(model)}; ranks rightly in {languages}")
    if line["others"]:
        said.append(
            f"warning: the {model.kind} cannot be relied upon in {', '.join(line['others'])}"
        )
    return model, said


def _used(model: SecondModel) -> str:
    """Return how an embedding model is used, in words."""
    if (form := model.form) is None:
        return ""
    prefixes = " and ".join(repr(text) for text in (form.query, form.passage) if text)
    begins = f"texts begin with {prefixes}" if prefixes else "texts are given as they are"
    return f", vectors of {form.dimensions} numbers, pooling {form.pooling}, {begins}"


def _refused(model: SecondModel, first: Line, others: Sequence[Line]) -> GGUFError:
    path, count = model.opened.path, f"{first['right']} of {first['of']}"
    if model.form is None:
        return GGUFError(
            f"{path} does not rank what answers a question first: {count} pairs of sentences",
            hint="it may be damaged, or converted without its classifier: convert it again by a "
            "recent llama.cpp, or leave out --reranker",
        )
    right = sorted((line for line in others if line["passes"]), key=lambda line: -line["right"])
    problem = (
        f"{path} does not find what answers a question with the pooling '{first['pooling']}' "
        f"({NAMES[first['pooling']]}): {count} pairs of sentences are ranked rightly"
    )
    if right:
        pooling, languages = right[0]["pooling"], ", ".join(right[0]["languages"])
        return GGUFError(
            f"{problem}; with '{pooling}' ({NAMES[pooling]}) all in {languages} are",
            hint=f"write --embedder-pooling {pooling}",
        )
    return GGUFError(
        f"{problem}, and with no other more",
        hint=f"it may be no embedding model (one {EXAMPLES} is), or want its texts to begin with "
        "something: --embedder-prefix 'query=…' --embedder-prefix 'passage=…'",
    )


def _asked(stub: Path, model: SecondModel) -> list[Line]:
    """Return what the engine in `stub` says, a line for each pooling that it tried."""
    form = json.dumps(model.form.facts()) if model.form else ""
    with open(stub, "rb") as runtime:
        cache = FileCache(f"proof of a {model.kind}: {form}", [runtime.fileno(), model.opened.fd])
        text = cache.get()
        if not text:
            text = _run(stub, model, form)
            cache.put(text)
    return [json.loads(line) for line in text.splitlines()]


def _run(stub: Path, model: SecondModel, form: str) -> str:
    path = model.opened.path
    question = ["prove", model.kind, str(path.absolute()), "--form", form]
    try:
        done = run_program.run(stub, question, seconds=SECONDS)
    except subprocess.TimeoutExpired:
        raise AppError(
            f"{path} has not ranked 18 pairs of sentences after {SECONDS} seconds",
            hint=f"it is too large for this machine: take a smaller {model.kind}",
        ) from None
    if done.code or not done.out:
        problem, _, hint = done.err.removeprefix("error: ").partition("\n\nhint: ")
        raise GGUFError(
            f"the engine cannot use {path} as the {model.kind}: "
            f"{problem.partition(chr(10))[0] or 'it crashes'}",
            hint=hint or "convert the model again, by a recent llama.cpp",
        )
    return done.out
