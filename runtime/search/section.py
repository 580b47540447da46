"""Section of documents: an index to be written into an executable, and the one that lies in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict

from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.container.writer import Part, Written
from runtime.host.fileio import write_all
from runtime.host.progress_bar import progress
from runtime.search.index import Index
from runtime.search.layout import KIND, NAME
from runtime.search.writer import Writer


def part(writer: Writer, name: str = NAME) -> Part:
    """Return the index that `writer` has made, to be written as a section."""
    made = writer.finish()
    digest = hashlib.sha256()

    def write(fd: int) -> Written:
        done = 0
        with progress(f"writing {name}") as update:
            for chunk in made.chunks():
                write_all(fd, chunk)
                digest.update(chunk)
                done += len(chunk)
                update(done, made.size)
        return Written(made.size, "stored", "")

    return Part(Section(name, KIND, 0, 0, made.size, "stored", ""), write, digest.hexdigest)


def sections_of(bundle: Bundle) -> list[Section]:
    """Return the sections of documents in `bundle`."""
    return [section for section in bundle.manifest.sections if section.kind == KIND]


def opened(bundle: Bundle, section: Section) -> Index:
    """Return the index in a section; raise PayloadError where there is none in it."""
    label = f"the part '{section.name}' of {bundle.path}"
    return Index(bundle.fd, section.offset, section.size, label)


def exported(index: Index) -> Iterator[bytes]:
    """Yield the documents of an index as lines of JSON: what is known about each, and its text.

    A line comes in parts: a stranger's index may have a document with any number of pieces.
    """
    for document in index.documents():
        found = {
            "path": document.path,
            "kind": document.kind,
            "title": document.title,
            "date": document.date,
            "text": index.document_text(document.number),
        }
        yield _json(found)[:-1] + b', "pieces": ['
        for number in document.pieces:
            piece = asdict(index.piece(number))
            del piece["number"], piece["document"]
            yield b", " * (number > document.pieces.start) + _json(piece)
        yield b"]}\n"


def _json(found: object) -> bytes:
    return json.dumps(found, ensure_ascii=False).encode()
