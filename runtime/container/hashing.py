"""SHA-256 of a stream, computed in a thread of its own."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from queue import Queue


def hash_of(
    data: Iterable[bytes | memoryview],
    size: int,
    update: Callable[[int, int], object] = lambda *_: None,
) -> str:
    """Return the SHA-256 of all `data`, hashed while the next piece is being read."""
    done = 0
    with Hasher() as hasher:
        for piece in data:
            hasher.update(bytes(piece))  # a copy: the decoder's buffer is used again
            done += len(piece)
            update(done, size)
    return hasher.hexdigest()


class Hasher:
    """Computes a SHA-256 in a thread, at most a few megabytes behind `update`."""

    STEP = 1 << 20
    BEHIND = 16
    """Steps; pieces are cut into them, so that large ones do not pile up."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._queue: Queue[memoryview | None] = Queue(self.BEHIND)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Hasher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()

    def update(self, data: bytes) -> None:
        """Add `data`, which must not change afterwards."""
        view = memoryview(data)
        for begin in range(0, len(view), self.STEP):
            self._queue.put(view[begin : begin + self.STEP])

    def hexdigest(self) -> str:
        """Return the hash in lower-case hexadecimal; call it after the `with` block."""
        return self._digest.hexdigest()

    def _work(self) -> None:
        while (data := self._queue.get()) is not None:
            self._digest.update(data)
