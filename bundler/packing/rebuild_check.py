"""Reproducibility check: build a bundle again, and report which bytes differ."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bundler.model import lint
from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.container.extents import Extent, Extents
from runtime.container.layout import Section
from runtime.container.section_io import copied
from runtime.container.writer import Part, Stub, Written, write_bundle
from runtime.errors import AppError, UsageError
from runtime.gguf.header import read_header_from
from runtime.host.progress_bar import progress
from runtime.host.resources import physical_cores
from runtime.weights import compress, decompress

STEP = 4 << 20


def check(bundle: Bundle, stub: Bundle, model: Path | None) -> list[str]:
    """Make `bundle` again out of `stub` and `model` and compare; return what differs.

    Without a `model` its own, taken out again, is used: that proves runtime, coding and layout.
    The copy is a temporary file beside the original, or where such files go. Raise UsageError
    where `model` is not the one inside, and AppError where there is no room for the copy.
    """
    source = _original(bundle, model)
    own = f"the model in {bundle.path}" if model is None else str(model)

    def again(section: Section) -> Part:
        if section.kind == "model":
            return _coded_again(section, source, own)
        if section.kind == "projector":
            return _coded_again(section, _taken_out(bundle, section), section.name)
        return copied(bundle, section)

    parts = [again(section) for section in bundle.manifest.sections]
    manifest = replace(bundle.manifest, sections=())
    # Whoever cannot sign repeats the signature; it fits if the manifest is the same.
    signature = bundle.signature.decode("utf-8", "replace")
    sign = (lambda _: signature) if signature else None
    try:
        if manifest.sidecar is None:
            with _copy(bundle) as out:
                write_bundle(out, Stub.of(stub), parts, lambda: manifest, sign)
                return list(_differences(bundle, out))
        beside = bundle_file.read(bundle.fd, manifest.sidecar.name)
        assert beside is not None, "it was found by what is in it"
        inside = replace(beside.manifest, sections=())
        with _copy(bundle) as out:
            write_bundle(out, Stub(b"", [], b"", {}), parts, lambda: inside)
            found = [f"{manifest.sidecar.name}, {text}" for text in _differences(beside, out)]
        program = replace(bundle, fd=bundle.program, program_fd=-1, manifest=manifest)
        with _copy(bundle) as out:
            write_bundle(out, Stub.of(stub), [], lambda: manifest, sign)
            return [*_differences(program, out), *found]
    except OSError as exc:
        raise AppError(
            f"the copy to compare {bundle.path} with cannot be written: {exc.strerror}",
            hint="it takes as much room as the file, beside it or, where that may not be written "
            "to, in the folder that TMPDIR names",
        ) from exc


@contextlib.contextmanager
def _copy(bundle: Bundle) -> Iterator[int]:
    """Give an empty temporary file: beside the original, where blocks can be shared, or elsewhere.

    `TMPDIR` says where else.
    """
    try:
        file = tempfile.TemporaryFile(dir=Path(bundle.path).resolve().parent)  # noqa: SIM115
    except OSError:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    with file:
        yield file.fileno()


def _original(bundle: Bundle, model: Path | None) -> Extents:
    if model is not None:
        return lint.examine(lint.preflight(model)).source
    section = bundle.model
    if section is None:
        raise UsageError(f"{bundle.path} has no model in it", hint="give one that was bundled")
    return _taken_out(bundle, section)


def _taken_out(bundle: Bundle, section: Section) -> Extents:
    """Return the original of a section."""
    if section.codec == "stored":
        return Extents([Extent(bundle.fd, section.offset, section.size)])
    with progress(f"unpacking the {section.kind}") as update:
        fd = decompress.to_fd(bundle, section, threads=physical_cores(), progress=update)
    return Extents([Extent(fd, 0, section.size)])


def _coded_again(section: Section, source: Extents, label: str) -> Part:
    """Return the part `section` made of `source`, which must be the very model; else raise."""
    foreign = UsageError(
        f"{label} is not the model that was bundled",
        hint=f"that one has {section.size:,} bytes and the SHA-256 {section.sha256}",
    )
    if source.size != section.size:
        raise foreign
    if section.codec == "zstd":
        raise UsageError(
            f"the {section.kind} was compressed by an older release, which this one does not "
            "repeat",
            hint="bundle it again",
        )

    def write(fd: int) -> Written:
        with progress(f"writing the {section.kind} again") as update:
            if section.codec == "stored":
                source.copy_to(fd, lambda done: update(done, source.size))
                return Written(source.size, "stored", "")
            header = read_header_from(source.read, source.size, label=f"the {section.kind}")
            return compress.compress(source, compress.cut(header, source.size), fd, update)

    def digest() -> str:
        from runtime.container.hashing import hash_of

        with progress(f"hashing the {section.kind}") as update:
            found = hash_of(source.chunks(), source.size, update)
        if found != section.sha256:
            raise foreign
        return found

    return Part(replace(section, size=source.size), write, digest)


def _differences(bundle: Bundle, again: int) -> Iterator[str]:
    """Yield a sentence for each part of the file that is another in `again`."""
    footer = bundle.footer
    ranges = [("launcher", 0, footer.prefix_length)]
    ranges += [(f"part '{s.name}'", s.offset, s.length) for s in bundle.manifest.sections]
    ranges += [
        ("manifest", footer.manifest_offset, footer.manifest_length),
        ("archive", footer.pkg_offset, footer.pkg_length),
        ("footer and section table", footer.offset, os.fstat(bundle.fd).st_size - footer.offset),
    ]
    for name, offset, length in ranges:
        if (place := _first_difference(bundle.fd, again, offset, length)) is not None:
            yield f"{name}: differs {place - offset:,} bytes after its start"
    if (size := os.fstat(again).st_size) != (was := os.fstat(bundle.fd).st_size):
        yield f"size: {was:,} bytes, made again {size:,}"


def _first_difference(a: int, b: int, offset: int, length: int) -> int | None:
    end = offset + length
    while offset < end:
        step = min(STEP, end - offset)
        x, y = os.pread(a, step, offset), os.pread(b, step, offset)
        if x != y:
            pairs = enumerate(zip(x, y, strict=False))
            return offset + next((i for i, (p, q) in pairs if p != q), min(len(x), len(y)))
        offset += step
    return None
