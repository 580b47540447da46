"""Check that a bundle can be made again, byte for byte, and say where not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bundler import compress, lint
from runtime import gguf, restore
from runtime.edit import moved
from runtime.errors import UsageError
from runtime.format import Section
from runtime.machine import physical_cores
from runtime.payload import Bundle
from runtime.progress import progress
from runtime.source import Extent, Source
from runtime.weld import Part, Stub, Written, weld

STEP = 4 << 20


def check(bundle: Bundle, stub: Bundle, model: Path | None) -> list[str]:
    """Make `bundle` again out of `stub` and `model` and compare; return what differs.

    Without a `model` its own, taken out again, is used: that proves runtime, coding and layout.
    The copy is a temporary file beside the original.
    """
    if bundle.manifest.sidecar is not None:
        raise UsageError(
            f"the parts of {bundle.path} lie in a file of their own",
            hint="check the file that the model was bundled into without --sidecar",
        )
    source = _original(bundle, model)
    parts = [
        _coded_again(section, source) if section.kind == "model" else moved(bundle, section)
        for section in bundle.manifest.sections
    ]
    folder = Path(bundle.path).resolve().parent
    with tempfile.TemporaryFile(dir=folder) as out:
        manifest = replace(bundle.manifest, sections=())
        # Whoever cannot sign repeats the signature; it fits if the manifest is the same.
        signature = bundle.signature.decode("utf-8", "replace")
        sign = (lambda _: signature) if signature else None
        weld(out.fileno(), Stub.of(stub), parts, lambda: manifest, sign)
        return list(_differences(bundle, out.fileno()))


def _original(bundle: Bundle, model: Path | None) -> Source:
    if model is not None:
        return lint.examine(lint.preflight(model)).source
    section = bundle.model
    if section is None:
        raise UsageError(f"{bundle.path} has no model in it", hint="give one that was bundled")
    if section.codec == "stored":
        return Source([Extent(bundle.fd, section.offset, section.size)])
    with progress("unpacking the model") as update:
        fd = restore.restore(bundle, section, threads=physical_cores(), progress=update)
    return Source([Extent(fd, 0, section.size)])


def _coded_again(section: Section, source: Source) -> Part:
    if section.codec == "zstd":
        raise UsageError(
            "the model was compressed by an older release, which this one does not repeat",
            hint="bundle it again",
        )

    def write(fd: int) -> Written:
        with progress("writing the model again") as update:
            if section.codec == "stored":
                source.copy_to(fd, lambda done: update(done, source.size))
                return Written(source.size, "stored", "")
            header = gguf.parse_source(source.read, source.size, label="the model")
            return compress.compress(source, compress.cut(header, source.size), fd, update)

    def digest() -> str:
        from runtime.parts import hash_of

        with progress("hashing the model") as update:
            return hash_of(source.chunks(), source.size, update)

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
