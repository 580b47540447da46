"""Which files a process holds open, for tests of what closes them."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator


def of_process(process: int | str = "self") -> set[tuple[str, int, int]]:
    """Return number, device and inode of each open file of a process."""
    found = set()
    for number in os.listdir(f"/proc/{process}/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listed them
            status = os.stat(f"/proc/{process}/fd/{number}")
            found.add((number, status.st_dev, status.st_ino))
    return found


@contextlib.contextmanager
def none_left() -> Iterator[None]:
    """Fail if what is done meanwhile opens a file and leaves it so, or closes one of before.

    What earlier tests left to the garbage collector is closed first.
    """
    gc.collect()
    before = of_process()
    yield
    assert before == of_process()
