"""Change of documents: those of a folder in place of what a bundle has, or beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from runtime.container.bundle_file import Bundle
from runtime.container.writer import Part
from runtime.documents.chunking import Chunking
from runtime.documents.reading import READERS, Reader
from runtime.errors import UsageError
from runtime.retrieval import indexing
from runtime.retrieval.helpers import embedder_alone
from runtime.retrieval.library import TextEmbedder
from runtime.search import section

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Means:
    """What documents are read and embedded with."""

    readers: Mapping[str, Reader] = field(default_factory=lambda: READERS)
    embedder: Callable[[Bundle], AbstractContextManager[TextEmbedder | None]] = embedder_alone
    """Gives the embedding model in a bundle, if there is one."""


def part(
    bundle: Bundle, folder: Path, chunking: Chunking, *, add: bool, means: Means, say: Notify
) -> Part:
    """Return the documents of `folder`, to be written into `bundle` as a section.

    With `add`, they are added to those that there are; one of the same path is replaced. Raise
    UsageError where nothing can be read, or there is nothing to add to.
    """
    sections = section.sections_of(bundle)
    if add and not sections:
        raise UsageError(
            f"{bundle.path} has no documents to add others to", hint="put them in with --docs"
        )
    with means.embedder(bundle) as embedder:
        return _part(bundle, folder, chunking, embedder, add=add, means=means, say=say)


def _part(
    bundle: Bundle,
    folder: Path,
    chunking: Chunking,
    embedder: TextEmbedder | None,
    *,
    add: bool,
    means: Means,
    say: Notify,
) -> Part:
    sections = section.sections_of(bundle)
    reading = indexing.read_folder(folder, chunking, means.readers, say)
    kept = None
    if add:
        index = section.opened(bundle, sections[0])
        if embedder and not index.head.dimensions:
            raise UsageError(
                f"the documents in {bundle.path} have no vectors, and those of {folder} would",
                hint="give the folder with all documents: --docs FOLDER",
            )
        if index.head.dimensions and not (embedder and indexing.made_by(index, embedder)):
            raise UsageError(
                f"the vectors of the documents in {bundle.path} are another embedder's",
                hint="give the folder with all documents: --docs FOLDER",
            )
        new = {document.path for document, _ in reading.documents}
        kept = index, (one for one in index.documents() if one.path not in new)
        replaced = sum(one.path in new for one in index.documents())
        say(f"documents: {reading.summary()} added, {replaced} of them in place of others")
    else:
        say(f"documents: {reading.summary()}")
    return section.part(indexing.indexed(reading, embedder, kept=kept))
