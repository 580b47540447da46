"""Writer of the file layout: launcher, sections, manifest, archive, footer, section table."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from runtime import bounds
from runtime.container import elf, layout
from runtime.container.bundle_file import Bundle
from runtime.container.elf import SectionHeader
from runtime.container.layout import Footer, Manifest, Section, Sidecar
from runtime.errors import UsageError
from runtime.host.fileio import write_all


@dataclass(frozen=True)
class Stub:
    """The runtime in its parts: launcher, archive, and facts about it."""

    prefix: bytes
    headers: Sequence[SectionHeader]
    """Section headers of the launcher; empty where it is no ELF file."""
    archive: bytes
    """PyInstaller's PKG, cookie included."""
    facts: Mapping[str, Any]
    version: int = layout.WITHOUT_STAGE
    """Of the format, which tells whether the prefix begins with a first stage."""

    def hashed(self) -> Stub:
        """Return a copy with hashes of launcher, section headers and archive among its facts."""
        hashed = {
            layout.LAUNCHER_SHA256: elf.without_table_position(self.prefix),
            layout.ARCHIVE_SHA256: self.archive,
        }
        if self.headers:
            hashed[layout.TABLE_SHA256] = elf.encode_headers(self.headers)
        hashes = {key: hashlib.sha256(data).hexdigest() for key, data in hashed.items()}
        return replace(self, facts={**self.facts, **hashes})

    @classmethod
    def of(cls, bundle: Bundle) -> Stub:
        """Return the stub inside a bundle, with or without sections."""
        footer = bundle.footer
        prefix = os.pread(bundle.program, footer.prefix_length, 0)
        archive = os.pread(bundle.program, footer.pkg_length, footer.pkg_offset)
        headers: list[SectionHeader] = []
        if elf.is_elf(prefix):
            size = os.fstat(bundle.program).st_size
            tail = os.pread(bundle.program, size - footer.offset, footer.offset)
            headers = elf.sections_at(prefix, tail, footer.offset)
            headers = [h for h in headers if h.end <= footer.prefix_length and h.name != elf.NAMES]
        return cls(prefix, headers, archive, bundle.manifest.stub, footer.version)


@dataclass(frozen=True)
class Written:
    """A section after it was written: length, codec and hash of its bytes in the file."""

    length: int
    codec: str
    sha256: str
    """Of the bytes in the file; empty for a stored one, where the original's says it, and for one
    that is moved from a file whose writer knew none."""


@dataclass(frozen=True)
class Part:
    """A section to be written: its description, and functions that write and hash it."""

    section: Section
    """Offset, length, codec and hashes are filled in when it is written."""
    write: Callable[[int], Written]
    """Appends the coded bytes to a file descriptor."""
    digest: Callable[[], str]
    """Returns the SHA-256 of the original; called after `write`, so that both may overlap."""


LastPart = Callable[[int], AbstractContextManager[Part]]
"""Given the descriptor of a file that is complete without it, returns a context manager of one more
part, which is written last."""


def write_bundle(
    out: int,
    stub: Stub,
    parts: Sequence[Part],
    describe: Callable[[], Manifest],
    sign: Callable[[bytes], str] | None = None,
    last: LastPart | None = None,
) -> Manifest:
    """Write the executable to the empty file `out`; return the manifest with all offsets.

    `describe` gives the rest of the manifest, and is called when the parts are written; `sign`
    the text of a signature of the manifest's bytes. `last` makes one more part, when `out` is
    complete without it. Raise UsageError where the manifest is longer than readers take.
    """
    write_all(out, stub.prefix)
    placed = [_place(out, part) for part in parts]
    if last:
        end = os.lseek(out, 0, os.SEEK_CUR)
        _finish(out, stub, placed, describe, None)
        with last(out) as part:
            os.ftruncate(out, end)
            os.lseek(out, end, os.SEEK_SET)
            placed.append(_place(out, part))
    return _finish(out, stub, placed, describe, sign)


def _place(out: int, part: Part) -> Section:
    """Append a part; return its section."""
    offset = _pad(out, layout.SECTION_ALIGNMENT)
    written = part.write(out)
    original = part.digest()
    return replace(
        part.section,
        offset=offset,
        length=written.length,
        codec=written.codec,
        sha256=original,
        coded_sha256=original if written.codec == "stored" else written.sha256,
    )


def _finish(
    out: int,
    stub: Stub,
    placed: Sequence[Section],
    describe: Callable[[], Manifest],
    sign: Callable[[bytes], str] | None,
) -> Manifest:
    """Append what comes behind the sections."""
    manifest = replace(describe(), sections=tuple(placed), stub=stub.facts)
    encoded = manifest.encode(stub.version)
    if len(encoded) > bounds.MANIFEST:
        raise UsageError(
            f"what is baked in takes {len(encoded):,} bytes, at most {bounds.MANIFEST:,}",
            hint="shorten the system prompt, or whatever else is that long",
        )
    manifest_offset = _pad(out, layout.PKG_ALIGNMENT)
    signature = sign(encoded).encode() if sign else b""
    write_all(out, encoded + signature)
    pkg_offset = _pad(out, layout.PKG_ALIGNMENT)
    write_all(out, stub.archive)
    footer = Footer(
        prefix_length=len(stub.prefix),
        manifest_offset=manifest_offset,
        manifest_length=len(encoded),
        pkg_offset=pkg_offset,
        pkg_length=len(stub.archive),
        offset=pkg_offset + len(stub.archive),
        manifest_sha256=layout.sha256(encoded),
        signature_length=len(signature),
        version=stub.version,
    )
    if stub.version != layout.WITHOUT_STAGE:
        footer = replace(footer, runtime_id=layout.runtime_id(stub.archive))
    write_all(out, footer.encode())
    if stub.headers:
        _append_table(out, stub, placed, footer)
    return manifest


def write_with_sidecar(
    out: int,
    beside: int,
    name: str,
    stub: Stub,
    parts: Sequence[Part],
    describe: Callable[[], Manifest],
    sign: Callable[[bytes], str] | None = None,
    last: LastPart | None = None,
) -> Manifest:
    """Write the executable to `out` and its parts to the file `beside`, to be called `name`."""
    nothing = Stub(b"", [], b"", {})
    inner = write_bundle(beside, nothing, parts, lambda: Manifest(tool=describe().tool), last=last)
    digest = layout.sha256(inner.encode()).hex()
    sidecar = Sidecar(name, os.fstat(beside).st_size, digest)
    return write_bundle(out, stub, [], lambda: replace(describe(), sidecar=sidecar), sign)


def section_headers(
    own: Sequence[SectionHeader], placed: Sequence[Section], footer: Footer
) -> list[SectionHeader]:
    """Return the launcher's section headers and those that describe payload and archive."""
    carried = []
    if placed:
        begin, last = placed[0].offset, placed[-1]
        size = last.offset + last.length - begin
        carried.append(elf.data_section("modelembed", begin, size, layout.SECTION_ALIGNMENT))
    begin = footer.manifest_offset
    size = footer.offset + layout.FOOTER_SIZE - begin
    return [*own, *carried, elf.data_section("pydata", begin, size, layout.PKG_ALIGNMENT)]


def _append_table(out: int, stub: Stub, placed: Sequence[Section], footer: Footer) -> None:
    """Describe the payload and the archive as ELF sections."""
    described = section_headers(stub.headers, placed, footer)
    data, start = elf.encode_table(described, footer.offset + layout.FOOTER_SIZE)
    write_all(out, data)
    os.pwrite(out, elf.with_table_at(stub.prefix, start, len(described) + 1), 0)


def _pad(out: int, alignment: int) -> int:
    """Extend the file to the next multiple of `alignment`; return that offset."""
    position = os.lseek(out, 0, os.SEEK_CUR)
    target = layout.align(position, alignment)
    os.ftruncate(out, target)
    return os.lseek(out, target, os.SEEK_SET)
