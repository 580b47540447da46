"""Projector file: a multimodal projector as a GGUF or a section of a bundle, not yet loaded."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.errors import GGUFError, UsageError
from runtime.gguf import projector
from runtime.gguf.header import Header, read_header
from runtime.gguf.projector import Traits
from runtime.host import resources, user_files
from runtime.host.progress_bar import progress
from runtime.options.registry import Options
from runtime.units import gigabytes
from runtime.weights import decompress

START_BYTES = 4 << 20
"""Of a file, for its fingerprint."""


@dataclass(frozen=True)
class ProjectorFile:
    """The source of a projector's bytes: a GGUF file, or a section of a bundle."""

    label: str
    """What to call it in messages."""
    fd: int
    offset: int
    size: int
    """Bytes of the GGUF, restored."""
    traits: Traits
    bundle: Bundle | None = None
    section: Section | None = None
    """Where it is in `bundle`."""

    @property
    def compressed(self) -> bool:
        """Return whether it must be decompressed before it can be read."""
        return self.section is not None and self.section.codec != "stored"

    @property
    def fingerprint(self) -> str:
        """Return an identifier of its content; of a file's, only size and start are hashed."""
        if self.section:
            return self.section.sha256
        digest = hashlib.sha256(str(self.size).encode())
        digest.update(os.pread(self.fd, START_BYTES, self.offset))
        return f"sampled-{digest.hexdigest()}"

    @property
    def needed(self) -> int:
        """Return the bytes that it takes in memory, estimated: weights and buffers.

        The engine reads the weights into memory of its own. What is decompressed for that is
        given up at once.
        """
        return self.size + self.traits.buffers

    @contextlib.contextmanager
    def opened(self, options: Options) -> Iterator[tuple[int, int]]:
        """Give a file descriptor and where in it the GGUF begins; both are good meanwhile.

        Raise PayloadError if it is damaged.
        """
        if not self.compressed:
            yield self.fd, self.offset
            return
        assert self.bundle is not None and self.section is not None
        threads = options.threads or resources.physical_cores()
        with progress(f"unpacking {gigabytes(self.size)}") as update:
            fd = decompress.to_fd(
                self.bundle, self.section, threads=threads, memfd=options.memfd, progress=update
            )
        try:
            yield fd, 0
        finally:
            os.close(fd)


def from_bundle(bundle: Bundle) -> ProjectorFile | None:
    """Return the projector in `bundle`, None if it has none; raise GGUFError if it is damaged."""
    section = bundle.projector
    if section is None:
        return None
    label = f"the projector in {bundle.path}"
    found = Traits.told(section.facts)  # a list of a thousand tensors takes some milliseconds
    if found is None:
        found = projector.traits(_header(bundle, section, label), label)
    return ProjectorFile(label, bundle.fd, section.offset, section.size, found, bundle, section)


def _header(bundle: Bundle, section: Section, label: str) -> Header:
    if section.codec == "stored":
        return read_header(bundle.fd, section.size, label=label, offset=section.offset)
    return decompress.read_gguf_header(bundle, section, label=label, hyperparameters_only=False)


def open_file(path: Path) -> ProjectorFile:
    """Return the projector in a GGUF file or bundle.

    Raise UsageError if the file cannot be read, and GGUFError if there is no projector in it.
    """
    fd = -1
    try:
        fd = user_files.open_seekable(path)
        if bundle := bundle_file.find(path):
            return _in_bundle(bundle)
        size = os.fstat(fd).st_size
        header = read_header(fd, size, label=str(path))
        found = ProjectorFile(str(path), fd, 0, size, projector.traits(header, str(path)))
        projector.require_whole(header, size, str(path))
        fd = -1
        return found
    except OSError as exc:
        why = "it is a folder" if isinstance(exc, IsADirectoryError) else exc.strerror
        raise UsageError(
            f"{path} cannot be read: {why}", hint="check the name after --mmproj"
        ) from exc
    finally:
        if fd >= 0:
            os.close(fd)


def _in_bundle(bundle: Bundle) -> ProjectorFile:
    found: ProjectorFile | None = None
    try:
        found = from_bundle(bundle)
        if found is None:
            raise GGUFError(
                f"{bundle.path} has no projector in it",
                hint="give the file that has mmproj in its name, made for the same model",
            )
        return found
    finally:
        if found is None:
            bundle.close()
