"""Integrity of what is not a section: launcher, archive, footer, section table and gaps.

Every byte outside of the sections is accounted for. The launcher runs the last archive in the
file, so one that was appended would run, whatever the hashes of ours say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from runtime import bounds
from runtime.container import bundle_file, elf, layout, writer
from runtime.container.bundle_file import Bundle
from runtime.container.hashing import hash_of
from runtime.errors import AGAIN, FormatError, PayloadError

SIGNED = (layout.LAUNCHER_SHA256, layout.ARCHIVE_SHA256)
"""Without these in its manifest a signature does not cover what runs."""


def verify(bundle: Bundle) -> None:
    """Check all bytes outside of the sections, in the sidecar too; raise PayloadError on damage."""
    if bundle.manifest.sidecar is None:
        _verify_file(bundle)
        return
    without = replace(bundle.manifest, sections=())
    _verify_file(replace(bundle, fd=bundle.program, program_fd=-1, manifest=without))
    beside = bundle_file.read(bundle.fd, f"the file beside {bundle.path}")
    if beside is not None:
        _verify_file(beside)


def _verify_file(bundle: Bundle) -> None:
    footer = bundle.footer
    launcher = os.pread(bundle.fd, footer.prefix_length, 0)
    _verify_gaps(bundle)
    _verify_hash(bundle, layout.LAUNCHER_SHA256, [elf.without_table_position(launcher)])
    _verify_archive(bundle)
    behind = os.pread(bundle.fd, bounds.SECTION_TABLE, footer.offset + layout.FOOTER_SIZE)
    _verify_cookie(bundle)
    try:
        _verify_table(bundle, launcher, behind)
    except FormatError as exc:
        raise PayloadError(
            f"the {len(behind):,} bytes behind the footer of {bundle.path} are not its section "
            f"table: {exc.problem}",
            hint=AGAIN,
        ) from exc


def _verify_hash(bundle: Bundle, name: str, data: Iterable[bytes]) -> None:
    """Compare `data` with its hash, where the manifest has it."""
    if (expected := bundle.manifest.stub.get(name)) is None:
        return
    if hash_of(data, 0) != expected:
        what = "section table" if name == layout.TABLE_SHA256 else name.partition("_")[0]
        raise PayloadError(f"the {what} of {bundle.path} is damaged", hint=AGAIN)


def _verify_archive(bundle: Bundle) -> None:
    """Compare the archive with its hash, and with the name by which it is known once unpacked."""
    footer = bundle.footer
    archive = bundle_file.read_chunks(bundle.fd, footer.pkg_offset, footer.pkg_length)
    if footer.version == layout.WITHOUT_STAGE:
        _verify_hash(bundle, layout.ARCHIVE_SHA256, archive)
        return
    found = hash_of(archive, 0)
    if bundle.manifest.stub.get(layout.ARCHIVE_SHA256, found) != found:
        raise PayloadError(f"the archive of {bundle.path} is damaged", hint=AGAIN)
    if bytes.fromhex(found)[: layout.RUNTIME_ID_SIZE] != footer.runtime_id:
        raise PayloadError(
            f"{bundle.path} would start another program's runtime: its footer does not name its "
            "own archive",
            hint="do not run it; download it again from somebody you trust",
        )


def _verify_gaps(bundle: Bundle) -> None:
    """Raise PayloadError unless the gaps between the parts are zeros, and only for alignment."""
    footer = bundle.footer
    manifest_end = footer.signature_offset + footer.signature_length
    sections = [(section.offset, section.length) for section in bundle.manifest.sections]
    taken = [
        (0, footer.prefix_length),
        *sorted(sections),
        (footer.manifest_offset, manifest_end - footer.manifest_offset),
        (footer.pkg_offset, footer.pkg_length),
    ]
    gaps = [(a + length, b) for (a, length), (b, _) in pairwise(taken)]
    behind = footer.pkg_offset + footer.pkg_length, footer.offset
    for begin, end in [*gaps, behind]:
        gap = end - begin
        long = gap if (begin, end) == behind else gap >= layout.SECTION_ALIGNMENT
        if long or os.pread(bundle.fd, gap, begin) != bytes(gap):
            raise PayloadError(
                f"{bundle.path} is damaged: the {gap:,} bytes from {begin:,} on belong to nothing, "
                "and are not the zeros that alignment asks for",
                hint=AGAIN,
            )


def _verify_cookie(bundle: Bundle) -> None:
    """Refuse another archive than ours: the launcher takes the one whose cookie comes last."""
    footer = bundle.footer
    begin = max(footer.pkg_offset, footer.offset - layout.COOKIE.size)
    place = os.pread(bundle.fd, 2 * bounds.SECTION_TABLE, begin).rfind(layout.COOKIE_MAGIC)
    if place > 0:
        raise PayloadError(
            f"{bundle.path} has another program in it, at {begin + place:,}, which would run "
            "instead of its own",
            hint="do not run it; download it again from somebody you trust",
        )


def _verify_table(bundle: Bundle, launcher: bytes, behind: bytes) -> None:
    """Compare what is behind the footer with the section table that belongs there."""
    if not behind and bundle.manifest.stub.get(layout.TABLE_SHA256) is None:
        return
    if not elf.is_elf(launcher):
        raise FormatError("this file has none")
    footer = bundle.footer
    found = elf.sections_of_tail(launcher, behind, footer.offset + layout.FOOTER_SIZE)
    own = [section for section in found if section.end <= footer.prefix_length]
    _verify_hash(bundle, layout.TABLE_SHA256, [elf.encode_headers(own)])
    if found[:-1] != writer.section_headers(own, bundle.manifest.sections, footer):
        raise FormatError("it does not name the parts as they lie in the file")
