"""Sections to be written: copied from another bundle, or an adapter or projector in a GGUF."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from runtime.container import bundle_file, lora_sections
from runtime.container.bundle_file import Bundle
from runtime.container.extents import Extent, Extents
from runtime.container.hashing import hash_of
from runtime.container.layout import Section
from runtime.container.writer import Part, Written
from runtime.errors import UsageError
from runtime.gguf import projector as projectors
from runtime.gguf.header import Header, read_header
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
    with _opened(path, "a LoRA adapter") as (fd, header):
        lora_sections.check(header, architecture, str(path))
        yield _stored(fd, Section(lora_sections.part_name(path), "adapter", 0, 0, 0, "stored", ""))


Coding = Callable[[Extents, Header, int], Written | None]
"""Appends a GGUF with that header to a file, coded; gives None, and appends nothing, if it does not
pay."""


@contextmanager
def projector(
    path: Path, model: Header, label: str, coding: Coding | None = None
) -> Iterator[Part]:
    """Give the projector in the GGUF file `path`, to be written as a section meanwhile.

    It is for the model with the header `model`, which messages call `label`; without a `coding`, it
    is stored. Raise UsageError where it cannot be read, and GGUFError where it is none or does not
    fit.
    """
    with _opened(path, "a projector") as (fd, header):
        found = projectors.traits(header, str(path))
        projectors.require_whole(header, os.fstat(fd).st_size, str(path))
        projectors.check_fit(found, str(path), model, label)
        named = {
            "file": path.name,
            "name": header.text("general.name"),
            "license": header.text("general.license"),
        }
        facts = {**{key: text for key, text in named.items() if text}, **found.facts()}
        name = projectors.SECTION
        stored = _stored(fd, Section(name, name, 0, 0, 0, "stored", "", facts=facts))
        if coding is None:
            yield stored
            return

        def write(out: int) -> Written:
            source = Extents([Extent(fd, 0, stored.section.size)])
            return coding(source, header, out) or stored.write(out)

        yield replace(stored, write=write)


@contextmanager
def _opened(path: Path, what: str) -> Iterator[tuple[int, Header]]:
    """Give the descriptor and header of a GGUF file; raise UsageError where it cannot be read."""
    fd = -1
    try:
        try:
            fd = user_files.open_seekable(path)
            header = read_header(fd, os.fstat(fd).st_size, label=str(path))
        except OSError as exc:
            raise UsageError(
                f"{path} cannot be read: {exc.strerror}", hint=f"name {what}, a GGUF file"
            ) from exc
        yield fd, header
    finally:
        if fd >= 0:
            os.close(fd)


def _stored(fd: int, section: Section) -> Part:
    """Return the file `fd` to be written as `section`, as it is."""
    size = os.fstat(fd).st_size

    def write(out: int) -> Written:
        Extents([Extent(fd, 0, size)]).copy_to(out)
        return Written(size, "stored", "")

    return Part(
        replace(section, size=size),
        write,
        lambda: hash_of(bundle_file.read_chunks(fd, 0, size), size),
    )
