"""`search`: the passages of the documents that fit a question, without an answer."""

from __future__ import annotations

import json

import click

from runtime.container.bundle_file import Bundle
from runtime.errors import UsageError
from runtime.host.std_streams import notify
from runtime.options.registry import Options
from runtime.retrieval import helpers
from runtime.retrieval.opening import open_library
from runtime.retrieval.sources import Source
from runtime.sandbox import restriction
from runtime.terminal import sources
from runtime.units import counted


def run(bundle: Bundle | None, options: Options, question: str, limit: int, as_json: bool) -> None:
    """Print what is found for a question; raise UsageError where there are no documents."""
    found_by = helpers.open_alone(bundle, options)
    library = open_library(bundle, options, notify, found_by.embedder, found_by.ranker)
    if library is None:
        raise UsageError(
            "this file has no documents to search",
            hint="search a folder: --docs FOLDER; or put one in: modelembed bundle --docs FOLDER",
        )
    if options.sandbox:
        restriction.enter(restriction.Policy())
    found = library.find(question, limit)
    if as_json:
        results = [Source(*one).fields() for one in enumerate(found.passages, 1)]
        document = {"query": found.question, "results": results}
        click.echo(json.dumps(document, ensure_ascii=False, indent=1))
        return
    for line in sources.found(found.passages):
        click.echo(line)
    if not found.passages:
        notify(f"nothing was found in {counted(library.index.head.documents, 'document')}")
