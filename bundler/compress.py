"""Compress a section on all cores into independent zstd frames with a seek table."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import zstandard

from bundler.source import Source
from runtime import seekable
from runtime.payload import Progress

FRAME = 1 << 20
"""Small enough for a core's cache when it is restored, large enough to cost no ratio."""
LEVEL = 3
WINDOW = 4
"""Frames per thread that may wait to be written."""
SAMPLES = 16
WORTH = 0.10
"""`auto` compresses when it saves this share: a mapped file starts at once and is shared."""


def sample_saving(source: Source) -> float:
    """Return the share of its size that compression saves, judged by frames spread evenly."""
    count = max(1, -(-source.size // FRAME))
    picked = sorted({i * count // SAMPLES for i in range(min(SAMPLES, count))})
    compressor = _compressor()
    before = after = 0
    for index in picked:
        data = source.read(index * FRAME, FRAME)
        before += len(data)
        after += len(compressor.compress(data))
    return 1 - after / before if before else 0.0


def compress(source: Source, out: int, progress: Progress, threads: int = 0) -> int:
    """Append the compressed source to the file `out`; return how many bytes it takes.

    Frames are compressed in parallel and written in order, so that the result is always the
    same. At most a few frames per thread are in memory.
    """
    threads = threads or len(os.sched_getaffinity(0))
    count = -(-source.size // FRAME)
    sizes: list[tuple[int, int]] = []
    for index, (data, original) in enumerate(_in_order(source, count, threads)):
        _write(out, data)
        sizes.append((len(data), original))
        progress(min((index + 1) * FRAME, source.size), source.size)
    table = seekable.encode(sizes)
    _write(out, table)
    return sum(size for size, _ in sizes) + len(table)


def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)


def _in_order(source: Source, count: int, threads: int) -> Iterator[tuple[bytes, int]]:
    """Yield (compressed frame, original size) for all frames, in order."""
    local = threading.local()

    def work(index: int) -> tuple[bytes, int]:
        if not hasattr(local, "compressor"):
            local.compressor = _compressor()
        data = source.read(index * FRAME, FRAME)
        return local.compressor.compress(data), len(data)

    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[tuple[bytes, int]]] = deque()
        try:
            for index in range(count):
                waiting.append(pool.submit(work, index))
                if len(waiting) >= WINDOW * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # Ctrl-C: what has not begun need not
                future.cancel()


def _write(out: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]
