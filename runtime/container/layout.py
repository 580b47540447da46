"""File layout: footer and manifest of a bundle, as FORMAT.md specifies them.

All integers are little-endian and all offsets are absolute, 64-bit, from the start of the file.
This module turns bytes into checked values and back; it opens no files.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from runtime import bounds
from runtime.errors import DAMAGED, FormatError

WITHOUT_STAGE, WITH_STAGE = 1, 2
"""Versions: the launcher is PyInstaller's alone, or has a first stage before it."""
VERSIONS = (WITHOUT_STAGE, WITH_STAGE)
MAGIC = b"MODELEMB"
FOOTER = struct.Struct("<8sII6Q32sQ16sI")  # FORMAT.md, "Footer"
FOOTER_SIZE = FOOTER.size
SECTION_ALIGNMENT = 2 << 20  # covers every page size and lets reflinks share whole blocks
PKG_ALIGNMENT = 16
LAUNCHER_ALIGNMENT = 128 << 10
"""Where PyInstaller's launcher begins, behind the first stage: a multiple of every page size."""
RUNTIME_ID_SIZE = 16

COOKIE = struct.Struct("!8sIIII64s")
COOKIE_MAGIC = b"MEI\014\013\012\013\016"
"""Ends the archive. Source: PyInstaller/archive/writers.py, CArchiveWriter._COOKIE_FORMAT."""


LAUNCHER_SHA256, ARCHIVE_SHA256, TABLE_SHA256 = "launcher_sha256", "archive_sha256", "table_sha256"
"""Keys among the facts of a stub: hashes of its launcher, archive and section table."""

CODECS = ("stored", "zstd", "planes")
KINDS = ("model", "projector", "adapter", "state", "documents", "embedder", "reranker")
CODECS_OF = {
    "projector": (("stored", "planes"), "a projector in a codec from before there were any"),
    "state": (("planes",), "a state without hashes of its pieces"),
    "documents": (("stored",), "an index that cannot be searched where it lies"),
    "embedder": (("stored",), "a second model that cannot be mapped where it lies"),
    "reranker": (("stored",), "a second model that cannot be mapped where it lies"),
}
"""The codecs of kinds that do not have all, and what a section with another would be."""


def align(offset: int, alignment: int) -> int:
    """Return the first multiple of `alignment` that is not below `offset`."""
    return -(-offset // alignment) * alignment


@dataclass(frozen=True)
class Footer:
    """The offsets of all parts: the last fixed-size record before the section table."""

    prefix_length: int
    """Bytes of bootloader at the start of the file."""
    manifest_offset: int
    manifest_length: int
    pkg_offset: int
    pkg_length: int
    offset: int
    """Where this footer itself starts; a copy found elsewhere is not ours."""
    manifest_sha256: bytes
    signature_length: int = 0
    """Bytes of a signature of the manifest, directly behind it; 0 for none."""
    flags: int = 0
    version: int = WITHOUT_STAGE
    runtime_id: bytes = bytes(RUNTIME_ID_SIZE)
    """What an unpacked archive is known by, see `runtime_id`; zeros without a first stage."""

    @property
    def signature_offset(self) -> int:
        """Return where the signature starts: behind the manifest."""
        return self.manifest_offset + self.manifest_length

    def encode(self) -> bytes:
        """Return the footer's bytes, CRC-32 of all but the last four included."""
        packed = FOOTER.pack(
            MAGIC,
            self.version,
            self.flags,
            self.prefix_length,
            self.manifest_offset,
            self.manifest_length,
            self.pkg_offset,
            self.pkg_length,
            self.offset,
            self.manifest_sha256,
            self.signature_length,
            self.runtime_id,
            0,
        )
        return packed[:-4] + struct.pack("<I", zlib.crc32(packed[:-4]))

    @classmethod
    def decode(cls, data: bytes) -> Footer:
        """Return the footer that `data` holds; raise FormatError on any damage."""
        if len(data) != FOOTER_SIZE:
            raise FormatError(
                f"the footer has {len(data)} bytes, expected {FOOTER_SIZE}", hint=DAMAGED
            )
        magic, version, flags, *rest, crc = FOOTER.unpack(data)
        if magic != MAGIC:
            raise FormatError(f"the footer starts with {magic!r}, expected {MAGIC!r}", hint=DAMAGED)
        if crc != zlib.crc32(data[:-4]):
            raise FormatError("the footer's checksum does not match", hint=DAMAGED)
        if version not in VERSIONS:
            raise FormatError(
                f"the bundle has format version {version}; this program reads "
                f"{VERSIONS[0]} to {VERSIONS[-1]}",
                hint="use the modelembed release that made it, or a newer one",
            )
        prefix, m_offset, m_length, pkg, pkg_length, offset, digest, signature, runtime = rest
        footer = cls(
            prefix, m_offset, m_length, pkg, pkg_length, offset, digest, signature, flags, version,
            runtime if version != WITHOUT_STAGE else bytes(RUNTIME_ID_SIZE),  # reserved there
        )  # fmt: skip
        footer._check()
        return footer

    def _check(self) -> None:
        """Refuse lengths and offsets that cannot belong together."""
        if flags := self.flags:
            raise FormatError(f"the footer has unknown flags {flags:#x}", hint=DAMAGED)
        for what, length, most in (
            ("launcher", self.prefix_length, bounds.LAUNCHER),
            ("manifest", self.manifest_length, bounds.MANIFEST),
            ("signature", self.signature_length, bounds.SIGNATURE),
            ("archive", self.pkg_length, bounds.ARCHIVE),
        ):
            if length > most:
                raise FormatError(f"the {what} claims {length} bytes, at most {most}", hint=DAMAGED)
        order = (
            self.prefix_length,
            self.manifest_offset,
            self.signature_offset,
            self.signature_offset + self.signature_length,
            self.pkg_offset,
            self.pkg_offset + self.pkg_length,
            self.offset,
        )
        if list(order) != sorted(order):
            raise FormatError("the footer's offsets are out of order", hint=DAMAGED)


@dataclass(frozen=True)
class Section:
    """One part of the payload: its place in the file, its codec, its original size and hash."""

    name: str
    """Unique within the bundle; also what `extract` calls the file unless told otherwise."""
    kind: str
    offset: int
    length: int
    """Bytes it takes in the file."""
    size: int
    """Bytes of the original."""
    codec: str
    sha256: str
    """Of the original, in lower-case hexadecimal."""
    coded_sha256: str = ""
    """Of the bytes in the file; empty where an older release wrote none."""
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What is to be known about it, such as how a second model is used."""


@dataclass(frozen=True)
class Sidecar:
    """The file beside the executable that contains the sections in its place."""

    name: str
    """As it was called when it was made; NAME.payload is looked for first."""
    size: int
    manifest_sha256: str
    """Of its manifest, in lower-case hexadecimal: no other file will do."""


@dataclass(frozen=True)
class Manifest:
    """What the bundle is: its sections, the baked-in defaults, and where it came from."""

    name: str = ""
    sections: tuple[Section, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Runtime options by their name in `runtime.options.registry`."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """Facts about the model for people: architecture, name, license, quantization …"""
    stub: Mapping[str, Any] = field(default_factory=dict)
    """Facts about the runtime: versions of engine and Python, CPU variants, glibc floor."""
    tool: str = ""
    """Name and version of the program that wrote the bundle."""
    sidecar: Sidecar | None = None
    """Where the sections are, if not in this file; `sections` is empty then."""

    def encode(self, version: int = WITHOUT_STAGE) -> bytes:
        """Return canonical JSON: sorted keys, no spaces, UTF-8; `version` is that of the footer."""
        document = {"format": version, **asdict(self)}
        if self.sidecar is None:
            del document["sidecar"]
        for section in document["sections"]:
            if not section["facts"]:
                del section["facts"]
        return json.dumps(
            document, ensure_ascii=False, sort_keys=True, separators=(",", ":")
        ).encode("utf-8", "replace")  # a file name may hold what is no text

    @classmethod
    def decode(cls, data: bytes, versions: Sequence[int] = VERSIONS) -> Manifest:
        """Return the manifest in `data`, which has one of `versions`.

        Raise FormatError naming the first bad key.
        """
        try:
            document = json.loads(data.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as exc:
            raise FormatError(f"the manifest is not JSON: {exc}", hint=DAMAGED) from exc
        reader = _Reader(document)
        if (version := reader.take("format", int)) not in versions:
            raise FormatError(
                f"the manifest has format {version}; expected {' or '.join(map(str, versions))}",
                hint="use the modelembed release that made it, or a newer one",
            )
        listed = reader.take("sections", list)
        if len(listed) > bounds.SECTIONS:
            raise FormatError(
                f"the manifest lists {len(listed)} sections, at most {bounds.SECTIONS}",
                hint=DAMAGED,
            )
        sections = tuple(_section(item, i) for i, item in enumerate(listed))
        names = [section.name for section in sections]
        if len(set(names)) != len(names):
            raise FormatError("the manifest lists two sections of the same name", hint=DAMAGED)
        try:
            json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError as exc:
            raise FormatError("the manifest has text that is none", hint=DAMAGED) from exc
        return cls(
            name=reader.take("name", str),
            sections=sections,
            defaults=reader.facts("defaults"),
            model=reader.facts("model"),
            stub=reader.facts("stub"),
            tool=reader.take("tool", str),
            sidecar=_sidecar(document["sidecar"]) if "sidecar" in document else None,
        )

    def check(self, footer: Footer) -> None:
        """Refuse sections that overlap, are misaligned or leave the payload's bounds."""
        end = footer.prefix_length
        for section in sorted(self.sections, key=lambda s: s.offset):
            if section.offset % SECTION_ALIGNMENT:
                raise FormatError(f"section '{section.name}' is not aligned", hint=DAMAGED)
            if section.offset < end or section.offset + section.length > footer.manifest_offset:
                raise FormatError(
                    f"section '{section.name}' overlaps another part or leaves the payload",
                    hint=DAMAGED,
                )
            end = section.offset + section.length


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


class _Reader:
    """Take typed values out of a decoded JSON object, naming the path of what is wrong."""

    def __init__(self, document: object, path: str = "") -> None:
        if not isinstance(document, dict):
            raise FormatError(
                f"the manifest's {path or 'top level'} is not an object", hint=DAMAGED
            )
        self.document = document
        self.path = path

    def take(self, key: str, kind: type, *, default: Any = None) -> Any:
        """Return the value of `key`, which must be a `kind`; `default` where it is missing."""
        path = f"{self.path}.{key}" if self.path else key
        if key not in self.document:
            if default is not None:
                return default
            raise FormatError(f"the manifest lacks '{path}'", hint=DAMAGED)
        value = self.document[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise FormatError(
                f"the manifest's '{path}' is {type(value).__name__}, expected {kind.__name__}",
                hint=DAMAGED,
            )
        return value

    def facts(self, key: str) -> dict[str, Any]:
        """Return the object at `key`, whose values must be plain: text, numbers, lists of text."""
        values: dict[str, Any] = self.take(key, dict)
        for value in values.values():
            items = value if isinstance(value, list) else [value]
            plain = all(isinstance(item, str) for item in items) or (
                isinstance(value, int | float) and abs(value) < 1 << 63
            )
            if not plain:
                raise FormatError(
                    f"the manifest's '{key}' has a value of an unknown kind", hint=DAMAGED
                )
        return values


def _sidecar(item: object) -> Sidecar:
    reader = _Reader(item, "sidecar")
    sidecar = Sidecar(
        reader.take("name", str), reader.take("size", int), reader.take("manifest_sha256", str)
    )
    if not is_plain_name(sidecar.name) or not 0 <= sidecar.size < 1 << 63:
        raise FormatError("the manifest's 'sidecar' is no file beside this one", hint=DAMAGED)
    return sidecar


def is_plain_name(name: str) -> bool:
    """Tell whether `name` is a bare file name: printable, without slashes, not . or ..."""
    return name.isprintable() and not set(name) & set("/\\") and name not in ("", ".", "..")


def _section(item: object, index: int) -> Section:
    reader = _Reader(item, f"sections[{index}]")
    section = Section(
        name=reader.take("name", str),
        kind=reader.take("kind", str),
        offset=reader.take("offset", int),
        length=reader.take("length", int),
        size=reader.take("size", int),
        codec=reader.take("codec", str),
        sha256=reader.take("sha256", str),
        coded_sha256=reader.take("coded_sha256", str, default=""),
        facts=reader.facts("facts") if "facts" in reader.document else {},
    )
    path = reader.path
    if not is_plain_name(section.name):
        raise FormatError(f"the manifest's '{path}.name' is not a plain name", hint=DAMAGED)
    if section.kind not in KINDS or section.codec not in CODECS:
        raise FormatError(
            f"section '{section.name}' is of kind '{section.kind}', codec '{section.codec}', "
            "which this program does not know",
            hint="use a newer release of modelembed",
        )
    codecs, otherwise = CODECS_OF.get(section.kind, (CODECS, ""))
    if section.codec not in codecs:
        raise FormatError(f"section '{section.name}' is {otherwise}", hint=DAMAGED)
    if (
        min(section.offset, section.length, section.size) < 0
        or max(section.offset, section.length, section.size) >= 1 << 63
    ):
        raise FormatError(f"section '{section.name}' has an impossible size", hint=DAMAGED)
    if section.codec == "stored" and section.length != section.size:
        raise FormatError(f"stored section '{section.name}' has two sizes", hint=DAMAGED)
    for digest in (section.sha256, section.coded_sha256 or section.sha256):
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise FormatError(f"section '{section.name}' has no SHA-256", hint=DAMAGED)
    if section.codec == "stored" and section.coded_sha256 not in ("", section.sha256):
        raise FormatError(f"stored section '{section.name}' has two hashes", hint=DAMAGED)
    return section


def runtime_id(archive: bytes) -> bytes:
    """Return what an unpacked `archive` is known by: the beginning of its SHA-256."""
    return sha256(archive)[:RUNTIME_ID_SIZE]


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 digest of `data`."""
    return hashlib.sha256(data).digest()
