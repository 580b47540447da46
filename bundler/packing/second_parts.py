"""Second parts: an embedding or a reranking model as a section, stored as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bundler.model.second_models import SecondModel
from bundler.packing.source_hash import hashing
from runtime.container.extents import Extent, Extents
from runtime.container.layout import Section
from runtime.container.writer import Part, Written
from runtime.host.progress_bar import progress


@contextmanager
def part(model: SecondModel) -> Iterator[Part]:
    """Give `model` to be written as a section meanwhile; its kind is also its name."""
    size = model.opened.size
    source = Extents([Extent(model.opened.fd, 0, size)])
    section = Section(model.kind, model.kind, 0, 0, size, "stored", "", facts=model.section_facts)

    def write(out: int) -> Written:
        with progress(f"writing {model.kind}") as update:
            source.copy_to(out, lambda done: update(done, size))
        return Written(size, "stored", "")

    with hashing(source) as digest:
        yield Part(section, write, digest)
