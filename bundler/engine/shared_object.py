"""What an ELF library asks of the system that loads it: processor, glibc, folders.

Source: the System V ABI, "Dynamic Linking"; the Linux Standard Base, "Symbol Versioning".
Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.engine.toolchain import BuildFailed
from bundler.targets import Target

MAGIC = b"\x7fELF\x02\x01"  # 64-bit, little-endian
MACHINES = {62: "x86_64", 183: "aarch64"}
SECTION = struct.Struct("<IIQQQQII")  # name, type, flags, address, offset, size, link, info
DYNAMIC, SYMBOLS = 6, 11
VERSIONS_NEEDED, SYMBOLS_VERSIONS = 0x6FFFFFFE, 0x6FFFFFFF
FILE = struct.Struct(
    "<HHIII"
)  # version, entries, name, offset of the first entry, of the next file
ENTRY = struct.Struct("<IHHII")  # hash, flags, index, name, offset of the next
SYMBOL = struct.Struct("<IBBHQQ")  # name, type, visibility, section, value, size
HIDDEN = 0x8000  # a flag beside a symbol's number of version
NEEDED, RPATH, RUNPATH = 1, 15, 29
BESIDE = "$ORIGIN"


@dataclass(frozen=True)
class SharedObject:
    """What one library asks for."""

    machine: str
    needed: Sequence[str]
    """Names of other libraries."""
    versions: Sequence[str]
    """Versions of their symbols, such as `GLIBC_2.17`."""
    folders: Sequence[str]
    """Where the others are looked for before the system's folders."""

    @classmethod
    def parse(cls, image: bytes) -> SharedObject:
        """Return what the ELF file `image` asks for; raise ValueError where it is none."""
        if not image.startswith(MAGIC):
            raise ValueError("it is not a 64-bit, little-endian ELF file")
        try:
            (machine,) = struct.unpack_from("<H", image, 18)
            sections = list(_sections(image))
            dynamic = [pair for found in sections for pair in _dynamic(image, *found, sections)]
            versions = {
                name for found in sections for _, name in _versions(image, *found, sections)
            }
        except (struct.error, IndexError, ValueError) as exc:
            raise ValueError(f"its sections cannot be read: {exc}") from exc
        return cls(
            MACHINES.get(machine, f"machine {machine}"),
            [text for tag, text in dynamic if tag == NEEDED],
            sorted(versions),
            [part for tag, text in dynamic if tag in (RPATH, RUNPATH) for part in text.split(":")],
        )

    @property
    def glibc(self) -> tuple[int, ...]:
        """Return the oldest glibc that has all it asks for; empty if it asks for none."""
        found = (re.fullmatch(r"GLIBC_(\d+(?:\.\d+)+)", name) for name in self.versions)
        return max((tuple(map(int, match[1].split("."))) for match in found if match), default=())


def _sections(image: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield type, offset, size, link and info of every section."""
    (table,) = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    for number in range(count):
        _, kind, _, _, offset, length, link, info = SECTION.unpack_from(
            image, table + number * size
        )
        yield kind, offset, length, link, info


Sections = Sequence[tuple[int, int, int, int, int]]


def _text(image: bytes, sections: Sections, link: int, place: int) -> str:
    """Return a string of the section of strings number `link`."""
    start = sections[link][1] + place
    return image[start : image.index(b"\0", start)].decode()


def _dynamic(
    image: bytes, kind: int, offset: int, size: int, link: int, _: int, sections: Sections
) -> Iterator[tuple[int, str]]:
    """Yield the entries of a dynamic section that are text: their tags, and the text."""
    if kind == DYNAMIC:
        for tag, value in struct.iter_unpack("<QQ", image[offset : offset + size]):
            if tag in (NEEDED, RPATH, RUNPATH):
                yield tag, _text(image, sections, link, value)


def _versions(
    image: bytes, kind: int, offset: int, _: int, link: int, files: int, sections: Sections
) -> Iterator[tuple[int, str]]:
    """Yield numbers and names in a section of versions needed of other files."""
    if kind != VERSIONS_NEEDED:
        return
    for _file in range(files):
        _, entries, _, first, following = FILE.unpack_from(image, offset)
        place = offset + first
        for _entry in range(entries):
            _, _, number, name, distance = ENTRY.unpack_from(image, place)
            yield number, _text(image, sections, link, name)
            place += distance
        offset += following


def versioned_symbols(image: bytes) -> Iterator[tuple[str, str]]:
    """Yield the symbols that the ELF file `image` needs of others, each with its version."""
    sections = list(_sections(image))
    names = dict(pair for found in sections for pair in _versions(image, *found, sections))
    symbols = next((found for found in sections if found[0] == SYMBOLS), None)
    numbers = next((found for found in sections if found[0] == SYMBOLS_VERSIONS), None)
    if symbols and numbers:
        for index in range(numbers[2] // 2):
            (number,) = struct.unpack_from("<H", image, numbers[1] + 2 * index)
            if version := names.get(number & ~HIDDEN):
                name = SYMBOL.unpack_from(image, symbols[1] + index * SYMBOL.size)[0]
                yield _text(image, sections, symbols[3], name), version


def require_portable(folder: Path, target: Target) -> None:
    """Raise BuildFailed if a library in `folder` is not for every system that `target` means."""
    for path in sorted(folder.glob("*.so")):
        try:
            found = SharedObject.parse(path.read_bytes())
        except ValueError as exc:
            raise BuildFailed(f"{path.name} is no library: {exc}") from exc
        if found.machine != target.machine:
            raise BuildFailed(f"{path.name} is for {found.machine}; it should be {target.machine}")
        if found.glibc > tuple(map(int, target.glibc.split("."))):
            raise BuildFailed(
                f"{path.name} needs glibc {'.'.join(map(str, found.glibc))}; programs for "
                f"{target.name} must run with {target.glibc}: compile it by zig (--compiler zig)"
            )
        # Another folder might have another copy, and with it a second registry of backends.
        if elsewhere := [name for name in found.folders if name != BESIDE]:
            raise BuildFailed(f"{path.name} looks for libraries in {', '.join(elsewhere)}")
