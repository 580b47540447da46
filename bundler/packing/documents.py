"""Documents: a folder as a section of a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bundler.documents.readers import READERS
from runtime.container.writer import Part
from runtime.documents.chunking import Chunking
from runtime.retrieval import indexing
from runtime.retrieval.library import TextEmbedder
from runtime.search import section


def part(
    folder: Path, chunking: Chunking, embedder: TextEmbedder | None, say: Callable[[str], None]
) -> Part:
    """Return the documents of a folder, to be written as a section.

    Without an embedder they are found by their words alone. Raise UsageError where nothing in the
    folder can be read.
    """
    reading = indexing.read_folder(folder, chunking, READERS, say)
    say(f"documents: {reading.summary()}")
    if embedder is None:
        say("documents are found by their words alone: --embedder FILE lets it find by meaning")
    return section.part(indexing.indexed(reading, embedder))
