"""Progress bar on stderr for operations that take longer than half a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

Progress = Callable[[int, int], None]
"""Called with the bytes done and the total bytes."""

PATIENCE_SECONDS = 0.5
"""Operations that finish sooner show no bar."""
CLEAR = "\x1b[A\r\x1b[K"
"""A finished bar ends its line: move the cursor up and erase that line."""


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Yield a Progress callback that draws a bar, on a terminal only.

    The bar is erased at the end.
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
