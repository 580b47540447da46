"""The section table: read from a launcher, written behind the footer, kept by other tools."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.container import bundle_file, elf, integrity
from runtime.container.elf import EHDR, SHDR, SectionHeader
from runtime.container.layout import Manifest, Section, sha256
from runtime.container.writer import Part, Stub, Written, write_bundle
from runtime.errors import FormatError

MODEL = b"GGUF and much more" * 100

TEXT = SectionHeader(".text", 1, 0x6, 0x400040, 64, 16, 0, 0, 16, 0)
BSS = SectionHeader(".bss", 8, 0x3, 0x402000, 80, 4096, 0, 0, 32, 0)
COMMENT = SectionHeader(".comment", 1, 0x30, 0, 80, 8, 0, 0, 1, 1)
SYMBOLS = SectionHeader(".symtab", 2, 0, 0, 88, 24, 5, 1, 8, 24)
NULL = SectionHeader("", 0, 0, 0, 0, 0, 0, 0, 0, 0)


def image(*headers: SectionHeader) -> bytes:
    """Return an ELF file of 112 bytes of content and a section table."""
    content = EHDR.pack(
        b"\x7fELF\x02\x01\x01".ljust(16, b"\0"), 2, 62, 1, 0x400040, 0, 0, 0, 64, 56, 0, 64, 0, 0
    )
    content += b"\x90" * 16 + b"launcher" + bytes(24)
    data, start = elf.encode_table([NULL, *headers], len(content))
    return elf.with_table_at(content, start, len(headers) + 2) + data


def test_table_is_golden() -> None:
    data, start = elf.encode_table([NULL, elf.data_section("pydata", 0x200000, 0x123, 16)], 101)

    assert 120 == start
    assert b"\0pydata\0.shstrtab\0".ljust(19, b"\0") == data[:19]
    assert bytes(64) == data[19:83]
    words = struct.pack("<IIQQQQIIQQ", 1, 1, 0, 0, 0x200000, 0x123, 0, 0, 16, 0)
    strings = struct.pack("<IIQQQQIIQQ", 8, 3, 0, 0, 101, 18, 0, 0, 1, 0)
    assert words + strings == data[83:]


def test_table_is_read_back() -> None:
    headers = [NULL, TEXT, BSS, COMMENT]

    assert headers == elf.sections(image(TEXT, BSS, COMMENT))[:-1]
    assert ".shstrtab" == elf.sections(image())[-1].name


def test_program_is_what_is_loaded_and_its_comment() -> None:
    prefix, headers = elf.split_program(image(TEXT, SYMBOLS, BSS, COMMENT))

    assert [NULL, TEXT, BSS, COMMENT] == headers
    assert image()[:40] == prefix[:40]
    assert COMMENT.end == len(prefix) == 88


def test_numbers_of_linked_sections_follow() -> None:
    strings = SectionHeader(".dynstr", 3, 0x2, 0, 64, 8, 0, 0, 1, 0)
    dynamic = SectionHeader(".rela", 4, 0x42, 0, 72, 8, 3, 4, 8, 24)
    _, headers = elf.split_program(image(SYMBOLS, SYMBOLS, strings, dynamic))

    assert [("", 0, 0), (".dynstr", 0, 0), (".rela", 1, 2)] == [
        (header.name, header.link, header.info) for header in headers
    ]


def test_every_truncation_is_refused() -> None:
    whole = image(TEXT, BSS, COMMENT)
    for length in range(len(whole)):
        with pytest.raises(FormatError):
            elf.sections(whole[:length])


@given(st.integers(0, 63), st.binary(min_size=1, max_size=8))
@settings(deadline=None, max_examples=300)
def test_any_header_is_read_or_refused(position: int, change: bytes) -> None:
    data = bytearray(image(TEXT, BSS, COMMENT))
    data[position : position + len(change)] = change
    try:
        elf.split_program(bytes(data))
    except FormatError as exc:
        assert exc.hint


@pytest.mark.parametrize("data", [b"", b"MZ", b"\x7fELF\x01\x01", b"\x7fELF\x02\x02"])
def test_other_executables_are_none(data: bytes) -> None:
    assert not elf.is_elf(data)


@pytest.fixture
def welded(tmp_path: Path) -> Iterator[Path]:
    """Make a bundle of PyInstaller's own launcher and an archive that holds no program."""
    folder = Path(pytest.importorskip("PyInstaller").__file__).parent / "bootloader"
    launcher = next(iter(sorted(folder.glob("Linux-64bit-*/run"))), None)
    if launcher is None:
        pytest.skip("PyInstaller has no launcher for Linux here")
    prefix, headers = elf.split_program(launcher.read_bytes())
    section = Section("model", "model", 0, 0, len(MODEL), "stored", "")
    written = Written(len(MODEL), "stored", "")
    part = Part(section, lambda fd: os.write(fd, MODEL) and written, lambda: sha256(MODEL).hex())
    path = tmp_path / "chat"
    with open(path, "w+b", buffering=0) as out:
        write_bundle(
            out.fileno(),
            Stub(prefix, headers, b"archive", {"a": 1}),
            [part],
            lambda: Manifest("Ada"),
        )
    path.chmod(0o755)
    yield path


def model_of(path: Path) -> bytes:
    bundle = bundle_file.load(path)
    section = bundle.section("model")
    data = b"".join(bundle_file.read_chunks(bundle.fd, section.offset, section.length))
    bundle.close()
    return data


def test_our_parts_are_sections(welded: Path) -> None:
    bundle = bundle_file.load(welded)
    footer, section = bundle.footer, bundle.section("model")
    found = {header.name: header for header in elf.sections(welded.read_bytes())}
    bundle.close()

    assert (section.offset, len(MODEL), 2 << 20, 0) == (
        found["modelembed"].offset,
        found["modelembed"].size,
        found["modelembed"].alignment,
        found["modelembed"].flags,
    )
    assert (footer.manifest_offset, footer.offset + 124, 16) == (
        found["pydata"].offset,
        found["pydata"].end,
        found["pydata"].alignment,
    )
    assert footer.offset + 124 == found[".shstrtab"].offset
    assert {".text", ".interp", ".dynamic", ".comment"} <= set(found)


@pytest.mark.parametrize("tool", ["strip", "objcopy"])
def test_other_tools_keep_everything(welded: Path, tmp_path: Path, tool: str) -> None:
    if not shutil.which(tool) or "64" not in platform.machine():
        pytest.skip(f"there is no {tool} here")
    target = tmp_path / "stripped"
    subprocess.run([tool, welded, *(["-o"] if tool == "strip" else []), target], check=True)

    assert MODEL == model_of(target)
    integrity.verify(bundle_file.load(target))
    before, after = bundle_file.load(welded), bundle_file.load(target)
    assert (before.footer, before.manifest) == (after.footer, after.manifest)
    before.close()
    after.close()


def test_stub_can_be_taken_out_of_a_bundle(welded: Path, tmp_path: Path) -> None:
    bundle = bundle_file.load(welded)
    stub = Stub.of(bundle)
    bundle.close()
    with open(tmp_path / "stub", "w+b", buffering=0) as out:
        write_bundle(out.fileno(), stub, [], Manifest)
    names = [header.name for header in elf.sections((tmp_path / "stub").read_bytes())]

    assert b"archive" == stub.archive
    assert ["pydata", ".shstrtab"] == names[-2:]
    assert "modelembed" not in names
    assert SHDR.size == 64
