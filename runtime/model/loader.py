"""A model as the engine can read it: in place, unpacked, or decoded while it is read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.errors import CacheError
from runtime.host import resources
from runtime.host.progress_bar import Progress, progress
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options
from runtime.units import gigabytes
from runtime.weights import decompress, model_cache
from runtime.weights.stdio_file import DecodingFile, File, RangeFile

NUMBERS = ("", "F32", "F16", "BF16")
"""Types that the engine uses as they are; it has layouts of its own for most others."""


def open_model(
    source: ModelFile, options: Options, update: Progress, notify: Callable[[str], None]
) -> File:
    """Return the model as the engine can read it, restored where it must be.

    Weights that the engine will rearrange are decoded while it reads them: no copy is kept.
    Others are restored into a file in memory and mapped, which processes can share.
    """
    if source.restored is not None:
        return RangeFile(source.restored, 0)
    if not source.compressed:
        return RangeFile(source.fd, source.offset)
    assert source.bundle is not None and source.bundle.model is not None
    bundle, section = source.bundle, source.bundle.model
    threads = options.threads or resources.physical_cores()
    fd = _kept(bundle, section, options, threads, update, notify)
    if fd is not None:
        return _opened(fd)
    rearranged = options.repack and source.quantization not in NUMBERS
    if options.memfd and (rearranged or not options.mmap):
        return DecodingFile(bundle, section, threads=threads, progress=update)
    fd = decompress.to_fd(bundle, section, threads=threads, memfd=options.memfd, progress=update)
    return _opened(fd)


def restored(source: ModelFile, options: Options, notify: Callable[[str], None]) -> ModelFile:
    """Return `source` with its model restored, for processes that are to share it."""
    if not source.compressed:
        return source
    assert source.bundle is not None and source.bundle.model is not None
    bundle, section = source.bundle, source.bundle.model
    threads = options.threads or resources.physical_cores()
    with progress(f"unpacking {gigabytes(source.size)}") as update:
        fd = _kept(bundle, section, options, threads, update, notify)
        if fd is None:
            fd = decompress.to_fd(
                bundle, section, threads=threads, memfd=options.memfd, progress=update
            )
    return dataclasses.replace(source, restored=fd)


def _kept(
    bundle: Bundle,
    section: Section,
    options: Options,
    threads: int,
    update: Progress,
    notify: Callable[[str], None],
) -> int | None:
    """Return the model as the user's cache keeps it, None where it is not to or cannot.

    --cache is often baked in, by somebody who knew another machine: it must not stop the program.
    """
    if not options.cache:
        return None
    limit = options.cache_size
    try:
        return model_cache.open_or_restore(
            bundle, section, limit=limit, threads=threads, progress=update
        )
    except CacheError as exc:
        notify(f"{exc.problem}; it is unpacked in memory instead ({exc.hint})")
        return None


def _opened(fd: int) -> RangeFile:
    """Return a file with a position of its own instead of `fd`, which is closed."""
    try:
        return RangeFile(fd, 0)
    finally:
        os.close(fd)
