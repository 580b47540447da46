"""Hash what is bundled while it is copied, and remember the hashes of files.

SHA-256 takes longer than copying on a processor without instructions for it, and the same model
is bundled again and again with other defaults. So a file's hash is remembered under what the
system changes whenever the file changes: device, inode, size, and the times of the last change of
its content and of its inode, in nanoseconds. Git's index trusts the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runtime import folders
from runtime.source import Extent, Source

KEPT = 256
"""Hashes that are remembered, the latest."""
SETTLED = 2.0
"""Seconds that a file must have been left alone: clocks of file systems are that coarse."""


@contextlib.contextmanager
def hashing(source: Source) -> Iterator[Callable[[], str]]:
    """Hash `source` in a thread of its own, while it is copied; give a call for the result.

    The result is the SHA-256 in lower-case hexadecimal.
    """
    memory = _Memory(source)
    if known := memory.recall():
        yield lambda: known
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
        memory.keep(digest.hexdigest())
        return digest.hexdigest()

    try:
        yield result
    finally:
        stop.set()
        thread.join()


class _Memory:
    """The hash of a source that is one whole file, in the user's cache folder; best effort."""

    def __init__(self, source: Source) -> None:
        self.path: Path = folders.cache() / "digests.json"
        self._fd = -1
        if len(source.parts) == 1 and isinstance(extent := source.parts[0], Extent):
            whole = extent.offset == 0 and extent.length == os.fstat(extent.fd).st_size
            self._fd = extent.fd if whole else -1
        self._key = self._identity()
        if self._key and time.time() - os.fstat(self._fd).st_ctime < SETTLED:
            self._key = ""  # a change within the same tick of the clock would leave no trace

    def recall(self) -> str:
        """Return the remembered hash, empty if there is none."""
        found = self._read().get(self._key, "") if self._key else ""
        usable = isinstance(found, str) and len(found) == 64
        return found if usable else ""

    def keep(self, sha256: str) -> None:
        """Remember the hash, unless the file changed since."""
        if not self._key or self._identity() != self._key:
            return
        known = {**self._read(), self._key: sha256}
        latest = dict(list(known.items())[-KEPT:])
        folders.remember(self.path, json.dumps(latest, indent=0))

    def _identity(self) -> str:
        if self._fd < 0:
            return ""
        s = os.fstat(self._fd)
        return f"{s.st_dev} {s.st_ino} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}"

    def _read(self) -> dict[str, str]:
        try:
            document = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}
