"""Opening of model weights for the engine: mapped in place, decompressed, or decoded while read."""

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
from runtime.weights.shared_original import SharedOriginal
from runtime.weights.stdio_file import DecodingFile, EndingFile, File, RangeFile

UNREPACKED_TYPES = ("", "F32", "F16", "BF16")
"""Tensor types that the engine uses as stored; most others it rearranges (repacks) in memory."""

FAR = 4
"""So many times its own size may lie before a model that is mapped: to map as much, page by page,
takes about as long as to read the model."""


def open_model(
    source: ModelFile, options: Options, update: Progress, notify: Callable[[str], None]
) -> File:
    """Return a stream on the model's GGUF, decompressed if necessary.

    Weights that the engine will repack are decoded while it reads them, without an intermediate
    copy. Others are decompressed into a memory file and mapped, so that processes can share them.
    """
    if source.decompressed_fd is not None:
        return RangeFile(source.decompressed_fd, 0)
    if not source.compressed:
        return open_stored(source, options)
    assert source.bundle is not None and source.bundle.model is not None
    bundle, section = source.bundle, source.bundle.model
    threads = options.threads or resources.physical_cores()
    fd = _open_cached(bundle, section, options, threads, update, notify)
    if fd is not None:
        return _range_file(fd)
    rearranged = options.repack and source.quantization not in UNREPACKED_TYPES
    if options.memfd and (rearranged or not options.mmap):
        return DecodingFile(bundle, section, threads=threads, progress=update)
    fd = decompress.to_fd(bundle, section, threads=threads, memfd=options.memfd, progress=update)
    return _range_file(fd)


def decompressed(source: ModelFile, options: Options, notify: Callable[[str], None]) -> ModelFile:
    """Return `source` with its model decompressed, so that worker processes can share it.

    With workers that sleep, it takes memory as long as any of them needs it.
    """
    if not source.compressed:
        return source
    assert source.bundle is not None and source.bundle.model is not None
    bundle, section = source.bundle, source.bundle.model
    threads = options.threads or resources.physical_cores()
    with progress(f"unpacking {gigabytes(source.size)}") as update:
        fd = _open_cached(bundle, section, options, threads, update, notify)
        if fd is None and options.memfd and options.sleeps:
            shared = SharedOriginal(bundle, section, processes=options.workers, threads=threads)
            shared.restore(update)
            return dataclasses.replace(source, decompressed_fd=shared.fd, shared=shared)
        if fd is None:
            fd = decompress.to_fd(
                bundle, section, threads=threads, memfd=options.memfd, progress=update
            )
    return dataclasses.replace(source, decompressed_fd=fd)


def reloadable(
    source: ModelFile, options: Options, notify: Callable[[str], None]
) -> tuple[ModelFile, Options]:
    """Return `source`, and options for it, so that it can be loaded again inside the sandbox.

    Files that could not be opened there are kept open: a decompressed model on disk, too.
    """
    if source.compressed and options.cache:
        assert source.bundle is not None and source.bundle.model is not None
        bundle, section = source.bundle, source.bundle.model
        threads = options.threads or resources.physical_cores()
        with progress(f"unpacking {gigabytes(source.size)}") as update:
            fd = _open_cached(bundle, section, options, threads, update, notify)
        if fd is not None:
            source = dataclasses.replace(source, decompressed_fd=fd)
        else:
            options = dataclasses.replace(options, cache=False)
    if source.compressed and not options.memfd:
        source = decompressed(source, options, notify)
    return source.opened_anew(), options


def _open_cached(
    bundle: Bundle,
    section: Section,
    options: Options,
    threads: int,
    update: Progress,
    notify: Callable[[str], None],
) -> int | None:
    """Return a file descriptor of the decompressed model in the user's cache, None if unavailable.

    A failure is only a note to the user: --cache is often baked in for another machine, and must
    not keep the program from running.
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


def open_stored(source: ModelFile, options: Options) -> RangeFile | EndingFile:
    """Return a stream on a stored model; where it is mapped, one that ends with the model.

    One that lies far behind another is read, since all before it would be mapped as well.
    """
    end = source.offset + source.size
    if source.offset > FAR * source.size:
        return RangeFile(source.fd, source.offset, mappable=False)
    if options.mmap and end < os.fstat(source.fd).st_size:
        file = EndingFile(source.fd, source.offset, end)
        if file.mappable:
            return file
        file.close()
    return RangeFile(source.fd, source.offset)


def _range_file(fd: int) -> RangeFile:
    """Return a RangeFile with its own file position on the file of `fd`; close `fd`."""
    try:
        return RangeFile(fd, 0)
    finally:
        os.close(fd)
