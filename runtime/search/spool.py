"""Spool: bytes that are written piece by piece and read once, in memory as long as they are few."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import IO

IN_MEMORY = 64 << 20  # of texts, and of vectors; more lie in a temporary file meanwhile
CHUNK = 1 << 20


class Spool:
    """Bytes in memory, or in a temporary file without a name."""

    def __init__(self) -> None:
        """Begin with none."""
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        self._size = 0
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self._size

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._file.write(data)
        self._size += len(data)

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes."""
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            yield chunk
