"""Show on stderr how far something is that takes long enough for somebody to wonder."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

PATIENCE_SECONDS = 0.5
"""What is done sooner shows nothing."""
CLEAR = "\x1b[A\r\x1b[K"
"""A finished bar ends its line: up to it, and away with it."""


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Give a function to call with bytes done and in all; it draws only on a terminal.

    The bar is gone at the end: what it told is then of no more use.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    import click

    bar = click.progressbar(length=1, label=label, file=sys.stderr, width=30)
    begin = time.monotonic()
    with ExitStack() as shown:

        def update(done: int, total: int) -> None:
            if not bar.entered:
                if time.monotonic() - begin < PATIENCE_SECONDS:
                    return
                shown.callback(print, CLEAR, end="", file=sys.stderr, flush=True)
                shown.enter_context(bar)
            bar.length = total
            bar.update(done - bar.pos)

        yield update
