"""PyInstaller's archive of files (PKG), read and written entry by entry.

Source: PyInstaller/archive/writers.py, CArchiveWriter. That one compiles scripts and compresses
while it writes; here what is not changed stays byte for byte.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from runtime.container.archive import ENTRY
from runtime.container.layout import COOKIE, COOKIE_MAGIC
from runtime.errors import FormatError

ALIGNMENT = 16  # of entries in the table


@dataclass(frozen=True)
class Entry:
    """One file, or one option of the launcher's."""

    name: str
    type: bytes
    stored: bytes
    """As it lies in the archive."""
    size: int
    compressed: bool

    @property
    def data(self) -> bytes:
        """Return the file's bytes."""
        return zlib.decompress(self.stored) if self.compressed else self.stored

    def with_data(self, name: str, data: bytes) -> Entry:
        """Return the entry with other bytes and another name."""
        stored = zlib.compress(data, 9) if self.compressed else data
        return replace(self, name=name, stored=stored, size=len(data))


@dataclass(frozen=True)
class Package:
    """An archive's entries, in their order."""

    entries: Sequence[Entry]
    version: int
    """Of Python: 313 is 3.13."""
    libpython: bytes
    """The name of its library, padded."""

    @classmethod
    def parse(cls, image: bytes) -> Package:
        """Return the archive that `image` ends with; raise FormatError if there is none."""
        place = image.rfind(COOKIE_MAGIC)
        try:
            _, length, table, size, version, libpython = COOKIE.unpack_from(image, max(place, 0))
            start = place + COOKIE.size - length
            if place < 0 or start < 0 or table + size > length:
                raise FormatError("PyInstaller's archive is not where its cookie says")
            entries = list(_entries(image[start : start + length], table, table + size))
        except (struct.error, UnicodeDecodeError) as exc:
            raise FormatError(f"PyInstaller's archive cannot be read: {exc}") from exc
        return cls(entries, version, libpython)

    def pack(self) -> bytes:
        """Return the archive's bytes."""
        body, table = bytearray(), bytearray()
        for entry in self.entries:
            name = entry.name.encode() + b"\0"
            length = ENTRY.size + len(name)
            length += -length % ALIGNMENT
            fields = (length, len(body), len(entry.stored), entry.size, entry.compressed)
            table += ENTRY.pack(*fields, entry.type) + name.ljust(length - ENTRY.size, b"\0")
            body += entry.stored
        length = len(body) + len(table) + COOKIE.size
        sizes = (length, len(body), len(table), self.version)
        return bytes(body + table + COOKIE.pack(COOKIE_MAGIC, *sizes, self.libpython))

    def mapped(self, change: Callable[[Entry], Entry]) -> Package:
        """Return the archive with every entry changed."""
        return replace(self, entries=[change(entry) for entry in self.entries])


def _entries(archive: bytes, position: int, end: int) -> list[Entry]:
    found = []
    while position < end:
        length, offset, stored, size, compressed, kind = ENTRY.unpack_from(archive, position)
        if length <= ENTRY.size:
            raise FormatError("PyInstaller's archive has an entry without a name")
        name = archive[position + ENTRY.size : position + length].rstrip(b"\0").decode()
        data = archive[offset : offset + stored]
        found.append(Entry(name, kind, data, size, bool(compressed)))
        position += length
    return found
