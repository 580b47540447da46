"""Compressed models in this process: coded without a bundle around them, or taken out of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BenchmarkError
from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.container.extents import Extent, Extents
from runtime.container.layout import Section
from runtime.gguf.header import read_header
from runtime.weights import chunk_table, compress
from runtime.weights.byte_planes import streams_of
from runtime.weights.chunk_table import Chunk
from runtime.weights.decompress import chunk_table_of


@dataclass(frozen=True)
class Coded:
    """A model as `--compress max` codes it."""

    size: int
    """Bytes of the model."""
    data_offset: int
    """Where its weights begin."""
    length: int
    """Bytes that it takes coded, with the table of chunks."""
    table: list[Chunk]


def code(model: Path, target: Path, threads: int) -> Coded:
    """Write `model`, coded, to the new file `target`, and nothing else; no fsync."""
    with open(model, "rb") as file, open(target, "xb", buffering=0) as out:
        size = os.fstat(file.fileno()).st_size
        header = read_header(file.fileno(), size, label=str(model))
        source = Extents([Extent(file.fileno(), 0, size)])
        pieces = compress.cut(header, size)
        written = compress.compress(source, pieces, out.fileno(), lambda *_: None, threads)
    with open(target, "rb") as file:
        file.seek(-chunk_table.TAIL.size, os.SEEK_END)
        file.seek(-chunk_table.table_length(file.read()), os.SEEK_END)
        table = chunk_table.decode(file.read(), written.length, size)
    return Coded(size, header.data_offset, written.length, table)


@contextmanager
def opened(executable: Path) -> Iterator[tuple[Bundle, Section]]:
    """Give the bundle in `executable` and its model, which must be compressed."""
    bundle = bundle_file.load(executable)
    try:
        section = bundle.model
        if section is None or section.codec == "stored":
            raise BenchmarkError(f"{executable} has no compressed model")
        yield bundle, section
    finally:
        bundle.close()


def cut_frames(bundle: Bundle, section: Section, target: Path) -> int:
    """Write all zstd frames of a section, one after the other, to the file `target`.

    Return how many bytes they hold, decompressed. What the section has uncoded is left out.
    """
    content = 0
    with open(target, "wb") as out:
        for chunk in chunk_table_of(bundle, section):
            place = section.offset + chunk.offset
            for coded, stream in zip(
                chunk.streams, streams_of(chunk.kind, chunk.size), strict=True
            ):
                if coded.coding == chunk_table.ZSTD:
                    out.write(os.pread(bundle.fd, coded.length, place))
                    content += stream.size
                place += coded.length
    return content


def require_zstd() -> None:
    """Raise BenchmarkError where the peer is missing."""
    if not shutil.which("zstd"):
        raise BenchmarkError("the program zstd is not installed")
