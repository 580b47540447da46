"""Reading: which file is read by what, and one function for all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from runtime import bounds
from runtime.documents.document import Document
from runtime.documents.formats.epub import read_epub
from runtime.documents.formats.html_page import read_html
from runtime.documents.formats.mail import read_mail
from runtime.documents.formats.markdown import read_markdown
from runtime.documents.formats.plain_text import read_text
from runtime.documents.formats.records import read_csv, read_jsonl
from runtime.documents.formats.word import read_docx
from runtime.documents.time_limit import limited
from runtime.errors import DocumentError
from runtime.units import gigabytes

Reader = Callable[[bytes, str], Document]
"""Reads the bytes of a file whose path in the folder is given."""

READERS: Mapping[str, Reader] = {
    ".txt": read_text,
    ".text": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".eml": read_mail,
    ".docx": read_docx,
    ".epub": read_epub,
}
"""By the suffix, in lower case: what needs nothing but the standard library."""
WHILE_BUNDLING = (".pdf",)
"""What `bundler.documents` reads beside them."""


def read(path: Path, name: str = "", readers: Mapping[str, Reader] = READERS) -> Document:
    """Read a file, which `name` is the path of in its folder; raise DocumentError if it cannot be.

    What it says depends on its bytes and its name alone.
    """
    name = name or path.name
    reader = _reader(name, readers)
    return _limited(reader, _bytes(path), name)


def read_bytes(data: bytes, name: str, readers: Mapping[str, Reader] = READERS) -> Document:
    """Read the bytes of a file; raise DocumentError if they cannot be."""
    return _limited(_reader(name, readers), data, name)


def _reader(name: str, readers: Mapping[str, Reader]) -> Reader:
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in readers:
        raise _unknown(suffix, readers)
    return readers[suffix]


def _limited(reader: Reader, data: bytes, name: str) -> Document:
    try:
        with limited():
            return reader(data, name)
    except RecursionError as exc:
        raise DocumentError("it is nested too deeply", hint="save it in another format") from exc


def _bytes(path: Path) -> bytes:
    """Return what a file has, which is no link, pipe or device, nor endless."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(fd, "rb") as file:
            state = os.fstat(fd)
            if not stat.S_ISREG(state.st_mode):
                raise DocumentError("it is no file", hint="put a file in its place")
            if state.st_size > bounds.DOCUMENT:
                raise _too_large()
            data = file.read(bounds.DOCUMENT + 1)
    except OSError as exc:
        raise DocumentError(
            f"it cannot be read: {exc.strerror}", hint="check its name and its permissions"
        ) from exc
    if len(data) > bounds.DOCUMENT:
        raise _too_large()
    if not data:
        raise DocumentError("it is empty", hint="there is nothing to find in it")
    return data


def _too_large() -> DocumentError:
    return DocumentError(
        f"it has more than {gigabytes(bounds.DOCUMENT)}", hint="split it into several files"
    )


def _unknown(suffix: str, readers: Mapping[str, Reader]) -> DocumentError:
    if suffix in WHILE_BUNDLING:
        return DocumentError(
            f"{suffix} is read while bundling only",
            hint="use modelembed bundle --docs, or save it as text",
        )
    return DocumentError(
        f"{suffix} is read by nothing here" if suffix else "its name has no suffix",
        hint=f"what is read: {' '.join(readers)}",
    )
