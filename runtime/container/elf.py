"""ELF section headers for the payload and the archive, so that `strip` and `objcopy` keep them.

Source: the System V ABI, "Object Files", and elf(5). Bytes behind the last section are lost on
`strip` and `objcopy`; as sections of their own, with unchanged offsets, they survive both.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from runtime.errors import FormatError

EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
SHDR = struct.Struct("<IIQQQQIIQQ")
MAGIC = b"\x7fELF\x02\x01"  # 64-bit, little-endian
SHT_NULL, SHT_PROGBITS, SHT_STRTAB, SHT_NOBITS = 0, 1, 3, 8
SHF_ALLOC, SHF_INFO_LINK = 0x2, 0x40
NAMES = ".shstrtab"
"""The section of the sections' names."""
LAUNCHER = "launcher"
"""The section of PyInstaller's launcher behind the first stage."""
KEPT = (".comment", LAUNCHER)
"""Sections that are not loaded and yet belong to the program."""


@dataclass(frozen=True)
class SectionHeader:
    """One entry of the section header table, with its name spelled out."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int

    @property
    def end(self) -> int:
        """Return where the section ends in the file."""
        return self.offset + (0 if self.type == SHT_NOBITS else self.size)

    def pack(self, place: int) -> bytes:
        """Return the entry's bytes; its name is at `place` in the section of names."""
        return SHDR.pack(
            place, self.type, self.flags, self.address, self.offset, self.size, self.link,
            self.info, self.alignment, self.entry_size,
        )  # fmt: skip


def is_elf(data: bytes) -> bool:
    """Tell whether `data` starts a 64-bit little-endian ELF file."""
    return data.startswith(MAGIC)


def file_size(start: bytes) -> int:
    """Return the size in bytes of a file that ends with its section header table, as ours do.

    `start` is the beginning of the file; the result is 0 if that is not an ELF header.
    """
    if not is_elf(start) or len(start) < EHDR.size:
        return 0
    header = EHDR.unpack_from(start)
    return int(header[6]) + int(header[11]) * int(header[12])


def sections(image: bytes) -> list[SectionHeader]:
    """Return the section headers of the whole ELF file `image`."""
    return sections_at(image, image, 0)


def sections_at(prefix: bytes, tail: bytes, tail_offset: int) -> list[SectionHeader]:
    """Return the section headers of a file, given its beginning and its end."""
    if not is_elf(prefix):
        raise FormatError(
            "the stub is not a 64-bit Linux executable", hint="give one made by `modelembed stub`"
        )
    try:
        header = EHDR.unpack_from(prefix)
        start, count, names_index = header[6] - tail_offset, header[12], header[13]
        raw = [SHDR.unpack_from(tail, start + i * SHDR.size) for i in range(count)]
        begin = raw[names_index][4] - tail_offset
        names = tail[begin : begin + raw[names_index][5]]
        return [SectionHeader(names[r[0] : names.index(b"\0", r[0])].decode(), *r[1:]) for r in raw]
    except (struct.error, IndexError, ValueError, OverflowError) as exc:
        raise FormatError(
            "the stub's section table is damaged", hint="build it again: modelembed stub"
        ) from exc


def sections_of_tail(prefix: bytes, tail: bytes, tail_offset: int) -> list[SectionHeader]:
    """Return the section headers in `tail`, the end of a file that contains nothing else.

    That is as `table` and binutils write it: the names, zeros up to a multiple of 8, and the
    headers, of which the last is of the names. Raise FormatError where a byte has no meaning.
    """
    found = sections_at(prefix, tail, tail_offset)
    header = EHDR.unpack_from(prefix)
    start, count = header[6] - tail_offset, header[12]
    if not found or header[11] != SHDR.size or header[13] != count - 1:
        raise FormatError("the header of the file does not describe it")
    names = found[-1]
    expected = SectionHeader(NAMES, SHT_STRTAB, 0, 0, tail_offset, names.size, 0, 0, 1, 0)
    if names != expected or start != _aligned(tail_offset + names.size) - tail_offset:
        raise FormatError("its names are not where they belong")
    meant = bytearray(1) + tail[1:start]  # to be zeroed, name by name
    for i, section in enumerate(found):
        (place,) = struct.unpack_from("<I", tail, start + i * SHDR.size)
        meant[place : place + len(section.name)] = bytes(len(section.name))
    if any(meant) or tail[:1] != b"\0" or len(tail) != start + count * SHDR.size:
        raise FormatError("it holds more than sections and their names")
    return found


def encode_headers(headers: Sequence[SectionHeader]) -> bytes:
    """Return the headers as bytes, independent of the string table; the manifest has their hash."""
    return b"".join(header.name.encode() + b"\0" + header.pack(0) for header in headers)


def split_program(image: bytes) -> tuple[bytes, list[SectionHeader]]:
    """Return the loaded part of the ELF file `image`, and the section headers that describe it."""
    found = sections(image)
    kept = [
        i
        for i, section in enumerate(found)
        if section.type == SHT_NULL or section.flags & SHF_ALLOC or section.name in KEPT
    ]
    number = {old: new for new, old in enumerate(kept)}
    headers = [
        replace(
            found[i],
            link=number.get(found[i].link, 0),
            info=number.get(found[i].info, 0) if found[i].flags & SHF_INFO_LINK else found[i].info,
        )
        for i in kept
    ]
    return image[: max(section.end for section in headers)], headers


def data_section(name: str, offset: int, size: int, alignment: int) -> SectionHeader:
    """Return the header of a section that is not loaded into memory."""
    return SectionHeader(name, SHT_PROGBITS, 0, 0, offset, size, 0, 0, alignment, 0)


def encode_table(headers: Sequence[SectionHeader], offset: int) -> tuple[bytes, int]:
    """Return string table and section headers for file offset `offset`, and the headers' offset."""
    names = b"\0"
    places = []
    for header in headers:
        places.append(len(names) if header.name else 0)
        names += header.name.encode() + b"\0" if header.name else b""
    places.append(len(names))
    names += NAMES.encode() + b"\0"
    strings = SectionHeader(NAMES, SHT_STRTAB, 0, 0, offset, len(names), 0, 0, 1, 0)
    start = _aligned(offset + len(names))
    every = zip(places, [*headers, strings], strict=True)
    rows = b"".join(header.pack(place) for place, header in every)
    return names.ljust(start - offset, b"\0") + rows, start


def _aligned(offset: int) -> int:
    """Return where a table of section headers begins, not below `offset`."""
    return -(-offset // 8) * 8


def without_table_position(prefix: bytes) -> bytes:
    """Return `prefix` with the position of its section header table zeroed: `strip` moves it."""
    if not is_elf(prefix) or len(prefix) < EHDR.size:
        return prefix
    fields = list(EHDR.unpack_from(prefix))
    fields[6] = fields[11] = fields[12] = fields[13] = 0
    return EHDR.pack(*fields) + prefix[EHDR.size :]


def with_table_at(prefix: bytes, start: int, count: int) -> bytes:
    """Return `prefix` with its ELF header pointing to a table of `count` headers at `start`."""
    fields = list(EHDR.unpack_from(prefix))
    fields[6], fields[11], fields[12], fields[13] = start, SHDR.size, count, count - 1
    return EHDR.pack(*fields) + prefix[EHDR.size :]
