"""Hidden commands, which `bundle` runs in child processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from runtime.commands import click_base
from runtime.container import bundle_file


@click.command(cls=click_base.Command, hidden=True)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--chat-template", default="")
def probe(model: Path, chat_template: str) -> None:
    """Ask the engine about a model and print JSON; run by `bundle` in a child process."""
    from runtime.commands.model_probe import probe_model

    for found in probe_model(model, chat_template):
        click.echo(json.dumps(found))


@click.command(cls=click_base.Command, hidden=True)
@click.argument("kind", type=click.Choice(("embedder", "reranker")))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--form", default="")
def prove(kind: str, model: Path, form: str) -> None:
    """Rank pairs of sentences by a second model and print JSON; run by `bundle`."""
    from runtime.retrieval.proving import probe as trying

    for found in trying.prove(kind, model, form):
        click.echo(json.dumps(found))


@click.command(cls=click_base.Command, hidden=True)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--form", default="")
def embed(model: Path, form: str) -> None:
    """Read texts from stdin as JSON, print their vectors; run by `bundle --docs`."""
    from runtime.retrieval.proving import probe as trying

    for found in trying.embed(model, form, sys.stdin):
        click.echo(json.dumps(found))


@click.command(cls=click_base.Command, hidden=True)
@click.argument("draft", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def prewarm(draft: Path, out: Path) -> None:
    """Write the state of the tokens that every conversation with DRAFT begins with to OUT.

    Run by `bundle --prewarm`. Reads the defaults from stdin, as JSON; prints progress to stdout,
    one line per step.
    """
    from runtime.dialogue.loaded_model import LoadedModel
    from runtime.model.model_file import from_bundle
    from runtime.options.registry import Options

    def tell(done: int, total: int) -> None:
        click.echo(f"{done} {total}")

    options = Options().merged(json.load(sys.stdin), "baked-in ")
    loaded = LoadedModel(
        from_bundle(bundle_file.load(draft)), options, lambda text: click.echo(text, err=True)
    )
    try:
        with open(out, "wb") as file:
            loaded.compute_prefix(file, tell)
    finally:
        loaded.close()


ALL = (probe, prove, embed, prewarm)
