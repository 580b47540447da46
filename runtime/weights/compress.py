"""Compress a model on all cores: split by type into streams, each coded by zstd as far as it pays.

zstd serves as a Huffman coder here: weights hold no repetitions worth finding, and looking for
them costs ratio as well as time.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import xxhash
import zstandard

from runtime.container.extents import Extents
from runtime.container.hashing import Hasher
from runtime.container.writer import Written
from runtime.gguf.header import Header
from runtime.host import fileio
from runtime.host.progress_bar import Progress
from runtime.host.resources import physical_cores
from runtime.weights import chunk_table
from runtime.weights.byte_planes import LAYOUTS, PLAIN, Buffer, Stream, streams_of
from runtime.weights.chunk_table import RAW, ZSTD, Chunk, Coded

PIECE = 1 << 20
"""Small enough for a core's cache when it is restored, large enough to cost no ratio."""
WINDOW = 4
"""Chunks per thread that may wait to be written."""
SPLIT_MIN = 8 << 10
"""Smaller tensors are plain bytes, together with what is beside them: their rows of the table would
cost what they save, and with a great many of them readers would refuse the table."""
PAYS = 0.01
"""A stream is coded when that saves this share of it: copying is free, decoding is not."""
CHUNK_PAYS = 0.005
"""The same of a whole chunk: joining streams is cheap."""
TEXT_LEVEL = 19
"""For what is no weights: header and vocabulary, a few megabytes."""

# Matches of at least 7 bytes in a table of 64 entries: there will be none, and literals are left.
HUFFMAN = zstandard.ZstdCompressionParameters(
    window_log=17,
    hash_log=6,
    chain_log=6,
    search_log=1,
    min_match=7,
    target_length=0,
    strategy=zstandard.STRATEGY_FAST,
    write_content_size=True,
    write_checksum=False,  # XXH3 of the whole chunk checks more
    write_dict_id=False,
)


@dataclass(frozen=True)
class Piece:
    """A range of the original to be coded as one chunk."""

    offset: int
    size: int
    kind: int
    """ggml's number of its type, or PLAIN."""
    text: bool = False
    """Worth a search for repetitions: the header with its vocabulary."""


def cut(header: Header, size: int) -> list[Piece]:
    """Cut an original of `size` bytes into pieces of one type each, in order and without gaps.

    What `header` does not list as a tensor, or lists as overlapping another, is cut as plain
    bytes; what it says need not be true for the result to restore.
    """
    done = min(header.data_offset, size)
    pieces = cut_range(0, done, PLAIN, text=True)
    for begin, end, kind in _regions(header, size):
        pieces += cut_range(done, begin, PLAIN)
        pieces += cut_range(begin, end, kind)
        done = end
    return pieces + cut_range(done, size, PLAIN)


def _regions(header: Header, size: int) -> list[tuple[int, int, int]]:
    """Return begin, end and type of the tensors that can be split, neighbours of a type as one."""
    regions: list[tuple[int, int, int]] = []
    for tensor in sorted(header.tensors, key=lambda tensor: tensor.offset):
        begin = header.data_offset + tensor.offset
        end = begin + tensor.size
        layout = LAYOUTS.get(tensor.type)
        if layout is None or tensor.size < SPLIT_MIN or tensor.size % layout.record:
            continue
        if end > size or (regions and begin < regions[-1][1]):
            continue
        # Small ones share a piece; large ones begin one, since they are read back one by one.
        fitting = regions and end - regions[-1][0] <= PIECE
        if fitting and regions[-1][1:] == (begin, tensor.type):
            regions[-1] = (regions[-1][0], end, tensor.type)
        else:
            regions.append((begin, end, tensor.type))
    return regions


def cut_range(begin: int, end: int, kind: int, *, text: bool = False) -> list[Piece]:
    """Cut bytes of one type; what is no whole record at their end is plain."""
    record = LAYOUTS[kind].record if kind in LAYOUTS else 1
    step = PIECE // record * record
    whole = end - (end - begin) % record
    pieces = [Piece(at, min(step, whole - at), kind, text) for at in range(begin, whole, step)]
    return pieces + ([Piece(whole, end - whole, PLAIN)] if whole < end else [])


def compress(
    source: Extents, pieces: Sequence[Piece], out: int, progress: Progress, threads: int = 0
) -> Written:
    """Append the coded pieces and their table to the file `out`.

    They are coded in parallel and written in order, so that the result is always the same. At
    most a few per thread are in memory.
    """
    table: list[Chunk] = []
    offset = done = 0
    with Hasher() as hasher:
        for chunk, streams in _in_order(source, pieces, threads or physical_cores()):
            table.append(replace(chunk, offset=offset, target=done))
            _write(out, streams, hasher)
            offset += chunk.length
            done += chunk.size
            progress(done, source.size)
        data = chunk_table.encode(table)
        _write(out, [data], hasher)
    return Written(offset + len(data), "planes", hasher.hexdigest())


def compress_smaller(
    source: Extents, header: Header, out: int, progress: Progress
) -> Written | None:
    """Append a GGUF compressed; give None, with nothing appended, if that is no less."""
    start = os.lseek(out, 0, os.SEEK_CUR)
    written = compress(source, cut(header, source.size), out, progress)
    if written.length < source.size:
        return written
    os.lseek(out, start, os.SEEK_SET)
    os.ftruncate(out, start)
    return None


class Coder:
    """Codes pieces one at a time; not for two threads at once."""

    def __init__(self, source: Extents) -> None:
        self._source = source
        self._streams = Buffer(PIECE)
        self._weights = zstandard.ZstdCompressor(compression_params=HUFFMAN)
        self._text = zstandard.ZstdCompressor(
            level=TEXT_LEVEL, write_checksum=False, write_content_size=True
        )

    def code(self, piece: Piece) -> tuple[Chunk, list[bytes]]:
        """Return the chunk, placed nowhere yet, and the bytes of its streams."""
        data = self._source.read(piece.offset, piece.size)
        xxh3 = xxhash.xxh3_128_digest(data)
        kind = piece.kind
        streams = self._split(data, kind)
        coded = [self._coded(stream, content, piece.text) for stream, content in streams]
        if sum(len(result) for _, result in coded) > (1 - CHUNK_PAYS) * len(data):
            kind, coded = PLAIN, [(RAW, data)]
        rows = tuple(Coded(coding, len(result)) for coding, result in coded)
        return Chunk(0, 0, len(data), kind, rows, xxh3), [result for _, result in coded]

    def _split(self, data: bytes, kind: int) -> list[tuple[Stream, bytes | memoryview]]:
        streams = streams_of(kind, len(data))
        if kind == PLAIN:
            return [(streams[0], data)]
        layout = LAYOUTS[kind]
        layout.split(data, self._streams, len(data) // layout.record)
        result: list[tuple[Stream, bytes | memoryview]] = []
        begin = 0
        for stream in streams:
            result.append((stream, self._streams.view[begin : begin + stream.size]))
            begin += stream.size
        return result

    def _coded(self, stream: Stream, content: bytes | memoryview, text: bool) -> tuple[int, bytes]:
        if text:
            result = self._text.compress(content)
        elif stream.plane:
            result = self._in_planes(stream, content)
        else:
            result = self._weights.compress(content)
        if len(result) > (1 - PAYS) * len(content):
            return RAW, bytes(content)
        return ZSTD, result

    def _in_planes(self, stream: Stream, content: bytes | memoryview) -> bytes:
        """Code one frame with a block, and so a Huffman table, for each plane."""
        frame = self._weights.compressobj(size=stream.size)
        parts = []
        for begin in range(0, stream.size, stream.plane):
            parts.append(frame.compress(content[begin : begin + stream.plane]))
            if begin + stream.plane < stream.size:
                parts.append(frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
        parts.append(frame.flush())
        return b"".join(parts)


Result = tuple[Chunk, list[bytes]]


def _in_order(source: Extents, pieces: Sequence[Piece], threads: int) -> Iterator[Result]:
    """Code all pieces in parallel and yield the results in order."""
    local = threading.local()

    def work(piece: Piece) -> Result:
        if not hasattr(local, "coder"):
            local.coder = Coder(source)
        coder: Coder = local.coder
        return coder.code(piece)

    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for piece in pieces:
                waiting.append(pool.submit(work, piece))
                if len(waiting) >= WINDOW * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # Ctrl-C: what has not begun need not
                future.cancel()


def _write(out: int, parts: Sequence[bytes], hasher: Hasher) -> None:
    for part in parts:
        hasher.update(part)
        fileio.write_all(out, part)
