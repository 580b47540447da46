"""Sections to be written: one copied from another bundle, or an adapter out of a GGUF file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.container import bundle_file, lora_sections
from runtime.container.bundle_file import Bundle
from runtime.container.extents import Extent, Extents
from runtime.container.hashing import hash_of
from runtime.container.layout import Section
from runtime.container.writer import Part, Written
from runtime.errors import UsageError
from runtime.gguf.header import read_header
from runtime.host import user_files
from runtime.host.progress_bar import progress


def copied(bundle: Bundle, section: Section) -> Part:
    """Return a section of `bundle`, to be copied unchanged into another."""

    def write(fd: int) -> Written:
        source = Extents([Extent(bundle.fd, section.offset, section.length)])
        with progress(f"writing {section.name}") as update:
            source.copy_to(fd, lambda done: update(done, section.length))
        return Written(section.length, section.codec, section.coded_sha256)

    return Part(section, write, lambda: section.sha256)


@contextmanager
def adapter(path: Path, architecture: str) -> Iterator[Part]:
    """Give the LoRA adapter in the GGUF file `path`, to be written as a section meanwhile.

    Raise UsageError where it cannot be read, and GGUFError where it is none.
    """
    fd = -1
    try:
        try:
            fd = user_files.open_seekable(path)
            size = os.fstat(fd).st_size
            lora_sections.check(read_header(fd, size, label=str(path)), architecture, str(path))
        except OSError as exc:
            raise UsageError(
                f"{path} cannot be read: {exc.strerror}", hint="name a LoRA adapter, a GGUF file"
            ) from exc
        section = Section(lora_sections.part_name(path), "adapter", 0, 0, size, "stored", "")

        def write(out: int) -> Written:
            Extents([Extent(fd, 0, size)]).copy_to(out)
            return Written(size, "stored", "")

        yield Part(section, write, lambda: hash_of(bundle_file.read_chunks(fd, 0, size), size))
    finally:
        if fd >= 0:
            os.close(fd)
