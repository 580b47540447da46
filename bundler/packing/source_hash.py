"""SHA-256 of the bundled files, computed while they are copied, and remembered.

SHA-256 takes longer than copying on a processor without instructions for it; so the hash of a
file that is bundled again is remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator

from bundler.file_cache import FileCache
from runtime.container.extents import Extent, Extents

DIGITS = 64


@contextlib.contextmanager
def hashing(source: Extents) -> Iterator[Callable[[], str]]:
    """Hash `source` in a thread of its own, while it is copied; give a call for the result.

    The result is the SHA-256 in lower-case hexadecimal.
    """
    cache = FileCache("sha256", _whole_file(source))
    remembered = cache.get()
    if len(remembered) == DIGITS:
        yield lambda: remembered
        return
    digest = hashlib.sha256()
    stop = threading.Event()
    failures: list[Exception] = []

    def work() -> None:
        try:
            for chunk in source.chunks():
                if stop.is_set():
                    return
                digest.update(chunk)
        except Exception as exc:
            failures.append(exc)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def result() -> str:
        while thread.is_alive():
            thread.join(0.1)  # in steps, so that Ctrl-C is heard
        if failures:
            raise failures[0]
        cache.put(digest.hexdigest())
        return digest.hexdigest()

    try:
        yield result
    finally:
        stop.set()
        thread.join()


def _whole_file(source: Extents) -> list[int]:
    """Return the file that `source` is all of, if it is one."""
    if len(source.parts) != 1 or not isinstance(extent := source.parts[0], Extent):
        return []
    whole = extent.offset == 0 and extent.length == os.fstat(extent.fd).st_size
    return [extent.fd] if whole else []
