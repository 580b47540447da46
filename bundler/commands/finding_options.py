"""Options `--embedder` and `--reranker` of `bundle`: the models that help to find in documents."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime import bounds
from runtime.container.text_form import POOLINGS
from runtime.errors import UsageError
from runtime.options.escapes import unescaped

if TYPE_CHECKING:
    from bundler.model.second_models import SecondModel


SIDES = ("query", "passage")
"""What a prefix can be put before."""


def for_finding(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets the models that they name as `seconds`."""

    @functools.wraps(command)
    def with_seconds(
        *,
        embedder: Path | None,
        embedder_prefix: Sequence[str],
        embedder_pooling: str | None,
        reranker: Path | None,
        **others: Any,
    ) -> None:
        found = seconds(embedder, embedder_prefix, embedder_pooling or "", reranker)
        command(seconds=found, **others)

    path = click.Path(path_type=Path)
    for option in (
        click.option(
            "--reranker",
            type=path,
            metavar="FILE",
            help="add a reranking model (GGUF), which puts what was found in order",
        ),
        click.option(
            "--embedder-pooling",
            type=click.Choice(tuple(POOLINGS)),
            metavar="|".join(POOLINGS),
            help="how the embedding model makes one vector of a text (default: as its file says)",
        ),
        click.option(
            "--embedder-prefix",
            multiple=True,
            metavar="SIDE=TEXT",
            help=r"put TEXT before every query or passage, \n for a new line: 'query=query: ' "
            "(default: as its makers do, where they are known); repeatable",
        ),
        click.option(
            "--embedder",
            type=path,
            metavar="FILE",
            help="add an embedding model (GGUF), by which documents are found by their meaning",
        ),
    ):
        with_seconds = option(with_seconds)
    return with_seconds


def seconds(
    embedder: Path | None, prefixes: Sequence[str], pooling: str, reranker: Path | None
) -> tuple[SecondModel, ...]:
    """Return the models that the options name, checked.

    Raise GGUFError if one is something else, UsageError if options do not fit together.
    """
    if embedder is None and (prefixes or pooling):
        flag = "--embedder-prefix" if prefixes else "--embedder-pooling"
        raise UsageError(
            f"{flag} says how an embedding model is used, and there is none",
            hint="name one: --embedder FILE.gguf",
        )
    if embedder is None and reranker is None:
        return ()
    from bundler.model import second_models  # few bundles have any

    found = []
    if embedder:
        found.append(second_models.embedder(embedder, prefixes_of(prefixes), pooling))
    if reranker:
        found.append(second_models.reranker(reranker))
    return tuple(found)


def prefixes_of(words: Sequence[str]) -> dict[str, str]:
    """Return what is put before each side, by words `query=TEXT` and `passage=TEXT`.

    Raise UsageError if one is another, or a side is given twice.
    """
    found: dict[str, str] = {}
    for word in words:
        side, separator, text = word.partition("=")
        if not separator or side not in SIDES or side in found:
            wrong = f"gives '{side}' twice" if side in found else "is not query=TEXT, passage=TEXT"
            raise UsageError(
                f"--embedder-prefix '{word}' {wrong}",
                hint="for example --embedder-prefix 'query=query: ' --embedder-prefix "
                "'passage=passage: '; \\n is a new line",
            )
        found[side] = unescaped(text)
        if len(found[side]) > bounds.EMBEDDER_PREFIX:
            raise UsageError(
                f"--embedder-prefix {side} has {len(found[side]):,} characters, at most "
                f"{bounds.EMBEDDER_PREFIX:,}",
                hint="shorten the instruction",
            )
    return found
