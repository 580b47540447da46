"""Estimate: what compressing a model would save and cost, judged by samples of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bundler.temp_files import in_temporary_folder
from runtime.container.extents import Extents
from runtime.host.mmap_file import MappedRange
from runtime.host.resources import physical_cores
from runtime.weights import compress
from runtime.weights.chunk_table import Chunk
from runtime.weights.compress import Piece
from runtime.weights.decompress import Decoder


@dataclass(frozen=True)
class Estimate:
    """What compressing would bring, judged by samples."""

    saving: float
    """Share of the size that is saved."""
    restore_seconds: float
    """To restore the whole at every start, on this machine's cores."""


def estimate(source: Extents, pieces: Sequence[Piece], samples: int = 24) -> Estimate:
    """Code and decode pieces spread evenly over the source."""
    pieces = [piece for piece in pieces if not piece.text] or pieces
    count = len(pieces)
    picked = [pieces[i] for i in sorted({i * count // samples for i in range(samples) if count})]
    if not picked:
        return Estimate(0.0, 0.0)
    coder = compress.Coder(source)
    table: list[Chunk] = []
    with in_temporary_folder(), tempfile.TemporaryFile() as file:
        for piece in picked:
            chunk, streams = coder.code(piece)
            table.append(replace(chunk, offset=file.tell()))
            file.writelines(streams)
        file.flush()
        after = file.tell()
        decoder = Decoder(MappedRange(file.fileno(), 0, after), table, "sample")
        begin = time.perf_counter()
        for chunk in table:
            decoder.decode(chunk)
        seconds = time.perf_counter() - begin
    before = sum(piece.size for piece in picked)
    return Estimate(1 - after / before, seconds * source.size / before / physical_cores())
