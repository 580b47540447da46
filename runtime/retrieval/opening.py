"""Opening of the library that a program answers from: what it carries, or a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from runtime.container.bundle_file import Bundle
from runtime.documents import folder
from runtime.documents.chunking import Chunking
from runtime.host.fileio import write_all
from runtime.options.registry import Options
from runtime.retrieval import index_cache, indexing
from runtime.retrieval.library import Library, TextEmbedder, TextRanker
from runtime.search.index import Index
from runtime.search.section import opened, sections_of
from runtime.search.tokens import RULES

Notify = Callable[[str], None]


def open_library(
    bundle: Bundle | None,
    options: Options,
    notify: Notify,
    embedder: TextEmbedder | None = None,
    ranker: TextRanker | None = None,
) -> Library | None:
    """Return the documents to answer from: those of `--docs`, or in `bundle`; None without any.

    Vectors that another embedder has made are left alone, and `notify` is told so. Raise AppError
    if the documents cannot be read.
    """
    if options.docs:
        index = _index_of_folder(Path(options.docs), options, notify, embedder)
    else:
        sections = sections_of(bundle) if bundle else []
        if bundle is None or not sections:
            return None
        index = opened(bundle, sections[0])
    if embedder and not indexing.made_by(index, embedder):
        if index.head.dimensions:
            notify("the documents' vectors are another embedder's: they are found by words alone")
        embedder = None
    return Library(index, embedder, ranker)


def _index_of_folder(
    path: Path, options: Options, notify: Notify, embedder: TextEmbedder | None
) -> Index:
    """Return an index of a folder: one that is kept, if nothing has changed, or a new one."""
    chunking = Chunking.parse(options.chunk)
    label = f"the index of {path}"
    name = ""
    if options.cache:
        made_with = [str(chunking), str(RULES), embedder.identity if embedder else ""]
        name = index_cache.name_of(path, made_with, folder.state(path))
        if found := index_cache.find(name, label):
            return found
    reading = indexing.read_folder(path, chunking, say=notify)
    notify(f"{path}: {reading.summary()}")
    made = indexing.indexed(reading, embedder).finish()
    if name:
        index_cache.keep(name, made)
        if found := index_cache.find(name, label):
            return found
    fd = os.memfd_create("documents", os.MFD_CLOEXEC)
    for chunk in made.chunks():
        write_all(fd, chunk)
    return Index(fd, 0, made.size, label)
