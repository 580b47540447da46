"""What `modelembed bundle` does for finding in documents: try second models, make an index."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.model import child_embedder, second_model_proof
from bundler.packing import documents as indexing
from runtime.container.second_models import EMBEDDER, section_of

if TYPE_CHECKING:
    from bundler.model.child_embedder import ChildEmbedder
    from bundler.model.second_models import SecondModel
    from bundler.packing.bundle import Recipe
    from runtime.container.bundle_file import Bundle
    from runtime.container.writer import Part

Say = Callable[[str], None]


def proved(models: Sequence[SecondModel], runtime: Path, say: Say) -> tuple[SecondModel, ...]:
    """Return second models with what the engine in `runtime`, which runs here, says of them.

    Raise GGUFError if one cannot be relied upon.
    """
    found = []
    for model in models:
        one, lines = second_model_proof.proved(runtime, model)
        found.append(one)
        for line in lines:
            say(line)
    return tuple(found)


@contextlib.contextmanager
def embedder_of(bundle: Bundle, say: Say) -> Iterator[ChildEmbedder | None]:
    """Give the embedding model in `bundle`, computed by a runtime that runs here; None without one.

    Raise AppError if it cannot be used.
    """
    if section_of(bundle, EMBEDDER) is None:
        yield None
        return
    from bundler.stub import supply

    path = Path(bundle.path)
    with child_embedder.started(path if supply.runs_here(bundle) else supply.stub(say), path) as it:
        yield it


def documents(recipe: Recipe, runtime: Path, say: Say) -> Iterator[Part]:
    """Yield the documents of a recipe as a part, if it names any.

    Vectors are computed by `runtime`, if the recipe has an embedding model.
    """
    if recipe.docs is None:
        return
    for model in recipe.seconds:
        if model.kind == EMBEDDER:
            with child_embedder.started(runtime, model.opened.path, model.form) as embedder:
                yield indexing.part(recipe.docs, recipe.chunking, embedder, say)
                return
    yield indexing.part(recipe.docs, recipe.chunking, None, say)
