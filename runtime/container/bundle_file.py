"""Open an executable as a bundle: find its footer, check its manifest, join its sidecar."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from runtime import bounds
from runtime.container import elf, layout
from runtime.container.layout import FOOTER_SIZE, Footer, Manifest, Section, Sidecar
from runtime.errors import AGAIN, DAMAGED, AppError, FormatError, PayloadError
from runtime.host import user_files
from runtime.units import gigabytes, part_of

CHUNK = 1 << 20
SIDECAR_SUFFIX = ".payload"


@dataclass(frozen=True)
class Bundle:
    """An open executable whose footer and manifest have been checked."""

    fd: int
    path: str
    """What to call the file in messages."""
    footer: Footer
    manifest: Manifest
    encoded_manifest: bytes = b""
    """The manifest's very bytes, as they were hashed and signed."""
    program_fd: int = -1
    """The executable itself; -1 where it is the same as `fd`, which holds the sections."""

    @property
    def model(self) -> Section | None:
        """Return the section that holds the language model, if any does."""
        return self._of_kind("model")

    @property
    def projector(self) -> Section | None:
        """Return the section that holds the model's projector, if any does."""
        return self._of_kind("projector")

    def _of_kind(self, kind: str) -> Section | None:
        return next((s for s in self.manifest.sections if s.kind == kind), None)

    def section(self, name: str) -> Section:
        """Return the section called `name`; raise PayloadError listing what there is."""
        for section in self.manifest.sections:
            if section.name == name:
                return section
        names = ", ".join(s.name for s in self.manifest.sections) or "none"
        raise PayloadError(f"{self.path} has no part '{name}'", hint=f"its parts: {names}")

    @property
    def signature(self) -> bytes:
        """Return the text of the manifest's signature, in minisign's format; empty for none."""
        footer = self.footer
        return os.pread(self.program, footer.signature_length, footer.signature_offset)

    @property
    def program(self) -> int:
        """Return the file descriptor of the executable: launcher, manifest, archive, footer."""
        return self.fd if self.program_fd < 0 else self.program_fd

    def close(self) -> None:
        """Close the file, or both."""
        os.close(self.fd)
        if self.program_fd >= 0:
            os.close(self.program_fd)


def find(path: str | os.PathLike[str], *, label: str = "") -> Bundle | None:
    """Open `path`; return its bundle, or None when it carries no footer of ours.

    Raise FormatError when there is a footer and it, or the manifest, is damaged, and OSError
    when the file cannot be opened.
    """
    fd = user_files.open_seekable(path)
    try:
        bundle = read(fd, label or os.fspath(path))
        if bundle is not None and bundle.manifest.sidecar is not None:
            bundle = _with_sidecar(bundle, bundle.manifest.sidecar)
    except BaseException:
        os.close(fd)
        raise
    if bundle is None:
        os.close(fd)
    return bundle


def load(path: str | os.PathLike[str]) -> Bundle:
    """Return the bundle at `path`; raise AppError when it is not one."""
    try:
        bundle = find(path)
    except OSError as exc:
        raise PayloadError(
            f"{path} cannot be opened: {exc.strerror}", hint="check the name and its permissions"
        ) from exc
    if bundle is None and _starts_with_magic(path):
        raise FormatError(
            f"{path} is a model, not yet a program",
            hint=f"make one of it: modelembed bundle {path}",
        )
    if bundle is None:
        raise FormatError(
            f"{path} is not a file made by modelembed: it has no footer",
            hint="if it should be one, it is incomplete: copy or download it again",
        )
    return bundle


def _starts_with_magic(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file begins as a GGUF does."""
    with open(path, "rb") as file:
        return file.read(4) == b"GGUF"


def load_runtime(path: str | os.PathLike[str]) -> Bundle:
    """Return the bundle at `path`, which must contain a runtime."""
    bundle = load(path)
    if not bundle.footer.pkg_length:
        bundle.close()
        raise FormatError(f"{path} has no runtime in it", hint="build one: modelembed stub")
    return bundle


def own() -> Bundle | None:
    """Return the bundle of the running program, None when it is not a frozen one.

    `/proc/self/exe` also names a file that was moved or deleted since; started through
    `ld.so ./chat` it is the loader instead, and only `sys.executable` is right.
    """
    if not getattr(sys, "frozen", False):
        return None
    for path in ("/proc/self/exe", sys.executable):
        with contextlib.suppress(OSError):
            if bundle := find(path, label=sys.executable):
                return bundle
    raise FormatError(f"{sys.executable} has lost its footer", hint=DAMAGED)


def program_name(bundle: Bundle | None) -> str:
    """Return what the program calls itself."""
    return (bundle.manifest.name if bundle else "") or "modelembed"


def read(fd: int, label: str) -> Bundle | None:
    """Return the bundle in one open file, None when it has no footer of ours.

    Raise FormatError when footer or manifest are damaged.
    """
    size = os.fstat(fd).st_size
    if (expected := elf.file_size(os.pread(fd, elf.EHDR.size, 0))) > size:
        raise FormatError(
            f"{label} is {gigabytes(expected - size)} short: {part_of(size, expected)}",
            hint="download or copy it again",
        )
    start = max(0, size - bounds.SECTION_TABLE)
    tail = os.pread(fd, bounds.SECTION_TABLE, start)
    position = tail.rfind(layout.MAGIC)
    if position < 0:
        return None
    found = tail[position : position + FOOTER_SIZE]
    if b"\0" not in found:  # a text about us: every footer has zeros, in its 64-bit offsets
        return None
    try:
        footer = Footer.decode(found)
    except FormatError as exc:
        raise FormatError(f"{label} is damaged: {exc.problem}", hint=exc.hint) from exc
    if footer.offset != start + position:
        raise FormatError(
            f"{label} has {start + position} bytes before its footer, expected {footer.offset}",
            hint=DAMAGED,
        )
    data = os.pread(fd, footer.manifest_length, footer.manifest_offset)
    if layout.sha256(data) != footer.manifest_sha256:
        raise FormatError(f"the manifest of {label} is damaged", hint=DAMAGED)
    manifest = Manifest.decode(data, (footer.version,))
    manifest.check(footer)
    return Bundle(fd, label, footer, manifest, data)


def _with_sidecar(bundle: Bundle, sidecar: Sidecar) -> Bundle:
    """Return `bundle` with the sections of the file beside it.

    It is known by what is in it: what has the name of the program may be something else, and the
    right one may still be called what it was called at first.
    """
    program = Path(os.path.realpath(bundle.path))
    names = [Path(f"{program}{SIDECAR_SUFFIX}"), program.with_name(sidecar.name)]
    belongs = f"put the {sidecar.name} that was made with it into the same folder"
    failures: list[AppError] = []
    foreign: list[Path] = []
    for path in dict.fromkeys(names):
        try:
            if found := _joined(bundle, sidecar, path):
                return found
            foreign.append(path)
        except FileNotFoundError:
            pass
        except OSError as exc:
            readable = f"its owner can let you read it: chmod a+r {path}"
            failure = PayloadError(
                f"{path}, which should hold the model of {bundle.path}, cannot be read: "
                f"{exc.strerror}",
                hint=readable if isinstance(exc, PermissionError) else belongs,
            )
            failures.append(failure)
        except AppError as exc:
            failures.append(exc)
    if failures:
        raise failures[0]
    if foreign:
        raise PayloadError(f"{foreign[0]} does not belong to {bundle.path}", hint=belongs)
    raise PayloadError(
        f"{bundle.path} has its model in a file of its own, and {names[0]} is missing",
        hint=f"put {sidecar.name}, which belongs to it, into the same folder",
    )


def _joined(bundle: Bundle, sidecar: Sidecar, path: Path) -> Bundle | None:
    """Return `bundle` with the sections of the file `path`; None where it is another one."""
    fd = user_files.open_seekable(path)
    found = None
    try:
        beside = read(fd, str(path))
        if beside is None and (size := os.fstat(fd).st_size) < sidecar.size:
            raise PayloadError(
                f"{path} is {gigabytes(sidecar.size - size)} short: {part_of(size, sidecar.size)}",
                hint="download or copy it again",
            )
        if beside and layout.sha256(beside.encoded_manifest).hex() == sidecar.manifest_sha256:
            manifest = replace(bundle.manifest, sections=beside.manifest.sections)
            found = replace(bundle, fd=fd, program_fd=bundle.fd, manifest=manifest)
        return found
    finally:
        if found is None:
            os.close(fd)


def require_hash(bundle: Bundle, section: Section, found: str, expected: str) -> None:
    """Raise PayloadError where a section's SHA-256 is not what it should be."""
    if found != expected:
        raise PayloadError(
            f"part '{section.name}' of {bundle.path} is damaged: its SHA-256 is {found}, "
            f"expected {expected}",
            hint=AGAIN,
        )


def read_chunks(fd: int, offset: int, length: int) -> Iterator[bytes]:
    """Yield the `length` bytes at `offset`; raise PayloadError when the file is shorter."""
    end = offset + length
    while offset < end:
        data = os.pread(fd, min(CHUNK, end - offset), offset)
        if not data:
            raise PayloadError(f"{end - offset} bytes are missing at {offset}", hint=DAMAGED)
        yield data
        offset += len(data)
