"""Show on stderr how far something is that takes longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.payload import Progress


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Give a function to call with bytes done and in all; it draws only on a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    import click

    with click.progressbar(length=1, label=label, file=sys.stderr, width=30) as bar:

        def update(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield update
