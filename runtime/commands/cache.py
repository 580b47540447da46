"""`cache`: what --cache keeps on disk."""

from __future__ import annotations

import click

from runtime.commands import click_base
from runtime.errors import CacheError


@click.group(cls=click_base.Group)
def cache() -> None:
    """List or clear what --cache keeps: models, and indexes of documents."""


@cache.command(name="list")
@click.option("--check", is_flag=True, help="read all of them, and check their hashes")
def cache_list(check: bool) -> None:
    """List what is cached, most recently used first."""
    import time

    from runtime.host.progress_bar import progress
    from runtime.retrieval import index_cache
    from runtime.units import counted, gigabytes
    from runtime.weights import model_cache

    kept, leftovers = model_cache.entries(), model_cache.leftovers()
    damaged = False
    for entry in [*kept, *leftovers]:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        state = "" if entry.finished else "  unfinished, of no use"
        if check and entry.finished:
            with progress(f"checking {gigabytes(entry.size)}") as update:
                intact = model_cache.is_intact(entry, update)
            state = "  intact" if intact else "  DAMAGED"
            damaged |= not intact
        click.echo(f"{gigabytes(entry.size):>10}  used {used}  {entry.path}{state}")
    indexes = index_cache.entries()
    for index in indexes:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(index.used))
        click.echo(f"{gigabytes(index.size):>10}  used {used}  {index.path}")
    sizes = [entry.size for entry in [*kept, *leftovers]] + [index.size for index in indexes]
    total = gigabytes(sum(sizes))
    found = [counted(len(kept), "model")] if kept else []
    found += [counted(len(indexes), "index of documents")] if len(indexes) == 1 else []
    found += [f"{len(indexes)} indexes of documents"] if len(indexes) > 1 else []
    found += [counted(len(leftovers), "leftover")] if leftovers else []
    click.echo(f"{total:>10}  in {' and '.join(found)}" if found else "nothing is kept")
    if damaged:
        raise CacheError("a kept model is damaged", hint="delete it: cache clear")


@cache.command(name="clear")
def cache_clear() -> None:
    """Delete what is cached, and leftovers of killed runs."""
    from runtime.retrieval import index_cache
    from runtime.units import counted, gigabytes
    from runtime.weights import model_cache

    gone, indexes = model_cache.clear(), index_cache.clear()
    size = gigabytes(sum([entry.size for entry in gone] + [index.size for index in indexes]))
    models = sum(entry.finished for entry in gone)
    rest = f" and {counted(len(gone) - models, 'leftover')}" if models < len(gone) else ""
    rest += f" and what was indexed of {counted(len(indexes), 'folder')}" if indexes else ""
    click.echo(f"deleted {counted(models, 'model')}{rest}, {size}")
