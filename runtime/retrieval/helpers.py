"""Helpers: the models of a bundle that help to find passages, beside the one that answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from runtime.container import second_models
from runtime.container.bundle_file import Bundle
from runtime.devices import engine
from runtime.options.registry import Options
from runtime.retrieval.embedding import LocalEmbedder, open_embedder
from runtime.retrieval.ranking import LocalRanker, open_ranker


@dataclass(frozen=True)
class Helpers:
    """The second models of a bundle."""

    embedder: LocalEmbedder | None = None
    ranker: LocalRanker | None = None

    def open(self) -> None:
        """Load them again after `close`; raise AppError if that fails, and leave none loaded."""
        with contextlib.ExitStack() as stack:
            for model in (self.embedder, self.ranker):
                if model is not None:
                    model.open()
                    stack.callback(model.close)
            stack.pop_all()

    def close(self) -> None:
        """Free them."""
        for model in (self.embedder, self.ranker):
            if model is not None:
                model.close()


def open_helpers(bundle: Bundle | None, options: Options) -> Helpers:
    """Return the second models of `bundle`, loaded; the engine must have been started.

    Raise AppError if one cannot be loaded; nothing is left of the other then.
    """
    embedder = open_embedder(bundle, options)
    try:
        return Helpers(embedder, open_ranker(bundle, options))
    except BaseException:
        Helpers(embedder).close()
        raise


@contextlib.contextmanager
def embedder_alone(bundle: Bundle) -> Iterator[LocalEmbedder | None]:
    """Give the embedding model of `bundle` without any other, or None if it has none.

    Raise AppError if it cannot be loaded.
    """
    if second_models.section_of(bundle, second_models.EMBEDDER) is None:
        yield None
        return
    options = Options()
    engine.start_processor(options)
    found = Helpers(open_embedder(bundle, options))
    try:
        yield found.embedder
    finally:
        found.close()


def open_alone(bundle: Bundle | None, options: Options) -> Helpers:
    """Return the second models of `bundle` without a first; start the engine if there is one.

    Raise AppError if one cannot be loaded.
    """
    if bundle is None or not second_models.sections_of(bundle):
        return Helpers()
    engine.start_processor(options)
    return open_helpers(bundle, options)
