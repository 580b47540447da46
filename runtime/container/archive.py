"""PyInstaller's archive in the running program: files that are unpacked when they are needed.

The first stage unpacks the rest. Source of the format: PyInstaller/archive/writers.py,
CArchiveWriter.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.container.layout import COOKIE
from runtime.errors import DAMAGED, AppError, FormatError
from runtime.host.fileio import write_all

ENTRY = struct.Struct("!IIIIBc")
"""Length of the entry, offset in the archive, length, length of the original, compressed, kind."""


COMPRESSED = ".zst"
"""How the names of files end that are compressed: those that few machines need."""


@dataclass(frozen=True)
class ArchivedFile:
    """A file in the archive, uncompressed."""

    offset: int
    """In the program's file."""
    size: int


def files(bundle: Bundle) -> Mapping[str, ArchivedFile]:
    """Return the archive's files by their names; raise FormatError where it is damaged."""
    footer = bundle.footer
    end = footer.pkg_offset + footer.pkg_length
    try:
        cookie = os.pread(bundle.program, COOKIE.size, end - COOKIE.size)
        _, _, toc_offset, toc_length, *_ = COOKIE.unpack(cookie)
        toc = os.pread(bundle.program, toc_length, footer.pkg_offset + toc_offset)
        found, place = {}, 0
        while place < toc_length:
            length, offset, size, *_ = ENTRY.unpack_from(toc, place)
            if length <= ENTRY.size:
                raise ValueError("an entry without a name")
            name = toc[place + ENTRY.size : place + length].split(b"\0")[0].decode()
            found[name] = ArchivedFile(footer.pkg_offset + offset, size)
            place += length
    except (struct.error, ValueError) as exc:
        raise FormatError(
            f"the archive of {bundle.path} has no table of contents", hint=DAMAGED
        ) from exc
    return found


def unpack(names: Mapping[str, Path]) -> None:
    """Unpack files of the running program's archive, by their names, each to a path.

    Those named so are decompressed. A file appears there whole. Raise AppError where that fails,
    KeyError if there is none.
    """
    bundle = bundle_file.own()
    assert bundle is not None, "the program is frozen"
    try:
        known = files(bundle)
        for name, target in names.items():
            _unpack(bundle, known[name], target, compressed=name.endswith(COMPRESSED))
    finally:
        bundle.close()


def _unpack(bundle: Bundle, entry: ArchivedFile, target: Path, *, compressed: bool) -> None:
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        out = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            chunks = bundle_file.read_chunks(bundle.program, entry.offset, entry.size)
            for chunk in _restored(chunks) if compressed else chunks:
                write_all(out, chunk)
        finally:
            os.close(out)
        staged.rename(target)
    except OSError as exc:
        with contextlib.suppress(OSError):
            staged.unlink()
        raise AppError(
            f"{target} cannot be unpacked: {exc.strerror}",
            hint="see to the disk that it lies on, or name another: TMPDIR=FOLDER … --no-keep",
        ) from exc


def _restored(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what was compressed by zstd; raise FormatError where it is damaged."""
    import zstandard

    decoder = zstandard.ZstdDecompressor().decompressobj()
    try:
        for chunk in chunks:
            yield decoder.decompress(chunk)
    except zstandard.ZstdError as exc:
        raise FormatError(f"the program's archive is damaged: {exc}", hint=DAMAGED) from exc
    if not decoder.eof:
        raise FormatError("the program's archive is cut off", hint=DAMAGED)
