"""Verify the parts of a bundle, and take them back out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime import payload
from runtime.errors import PayloadError
from runtime.format import Section
from runtime.payload import Bundle
from runtime.progress import progress
from runtime.restore import restore
from runtime.units import gigabytes

NAME_MAX = 60  # characters; in UTF-8 at most 240 bytes, and file systems take 255


def verify(bundle: Bundle) -> None:
    """Compare every part's SHA-256; raise PayloadError naming the first that differs."""
    for section in bundle.manifest.sections:
        with (
            _original(bundle, section) as (fd, offset),
            progress(f"checking {section.name}") as update,
        ):
            found = payload.digest(fd, offset, section.size, update)
        if found != section.sha256:
            raise PayloadError(
                f"part '{section.name}' of {bundle.path} is damaged: its SHA-256 is {found}, "
                f"expected {section.sha256}",
                hint="copy or download the file again",
            )


def extract(bundle: Bundle, name: str, target: Path | None = None) -> str:
    """Write a part's original to the new file `target`; return a sentence about it."""
    section = bundle.section(name)
    if target is None:
        target = Path(_file_name(bundle, section))
    with (
        _original(bundle, section) as (fd, offset),
        progress(f"writing {target}") as update,
    ):
        payload.copy_out(fd, offset, section.size, target, update)
    return f"{target}: {gigabytes(section.size)}"


def _file_name(bundle: Bundle, section: Section) -> str:
    """Return what to call a part; a name from a manifest is a stranger's, never a path."""
    if section.kind != "model":
        return section.name
    name = Path(str(bundle.manifest.model.get("file", ""))).name
    usable = name.isprintable() and name not in ("", ".", "..") and len(name) <= NAME_MAX
    return name if usable else "model.gguf"


@contextmanager
def _original(bundle: Bundle, section: Section) -> Iterator[tuple[int, int]]:
    """Give a file descriptor and the offset where the section's original bytes start."""
    if section.codec == "stored":
        yield bundle.fd, section.offset
        return
    with progress(f"unpacking {section.name}") as update:
        fd = restore(bundle, section, threads=os.cpu_count() or 1, progress=update)
    try:
        yield fd, 0
    finally:
        os.close(fd)
