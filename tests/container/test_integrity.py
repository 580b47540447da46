"""What surrounds the parts: no byte of it may change unseen, and nothing be added."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import bundles
import pytest

from runtime.container import bundle_file, elf, integrity, layout
from runtime.container.layout import COOKIE, COOKIE_MAGIC, FOOTER_SIZE, Manifest, Section, sha256
from runtime.container.writer import Part, Stub, Written, write_bundle, write_with_sidecar
from runtime.errors import AppError, FormatError, PayloadError

MODEL = b"GGUF and much more" * 100
COOKIE_OF_OURS = COOKIE.pack(COOKIE_MAGIC, 120, 0, 0, 311, b"libpython3.11.so")
ARCHIVE = b"archive".ljust(32, b"\0") + COOKIE_OF_OURS


def verify(path: Path) -> None:
    bundle = bundle_file.load(path)
    try:
        integrity.verify(bundle)
    finally:
        bundle.close()


@pytest.fixture
def welded(tmp_path: Path) -> Path:
    """Make a bundle as they are made, of PyInstaller's own launcher."""
    folder = Path(pytest.importorskip("PyInstaller").__file__).parent / "bootloader"
    launcher = next(iter(sorted(folder.glob("Linux-64bit-*/run"))), None)
    if launcher is None:
        pytest.skip("PyInstaller has no launcher for Linux here")
    stub = Stub(*elf.split_program(launcher.read_bytes()), ARCHIVE, {}).hashed()
    written = Written(len(MODEL), "stored", "")
    part = Part(
        Section("model", "model", 0, 0, len(MODEL), "stored", ""),
        lambda fd: os.write(fd, MODEL) and written,
        lambda: sha256(MODEL).hex(),
    )
    with open(tmp_path / "chat", "w+b", buffering=0) as out:
        write_bundle(out.fileno(), stub, [part], Manifest)
    return tmp_path / "chat"


@pytest.fixture(params=["as it is", "strip", "objcopy"])
def treated(request: pytest.FixtureRequest, welded: Path) -> Path:
    if request.param != "as it is":
        if not shutil.which(request.param):
            pytest.skip(f"no {request.param} here")
        subprocess.run([request.param, welded], check=True)
    return welded


def surroundings(path: Path) -> Iterator[range]:
    """Yield what of the file is no part and no manifest."""
    bundle = bundle_file.load(path)
    footer, (section,) = bundle.footer, bundle.manifest.sections
    bundle.close()
    yield range(64)
    yield range(64, footer.prefix_length)
    yield range(footer.prefix_length, section.offset)
    yield range(section.offset + section.length, footer.manifest_offset)
    yield range(footer.manifest_offset + footer.manifest_length, footer.pkg_offset)
    yield range(footer.pkg_offset, footer.offset)
    yield range(footer.offset, footer.offset + FOOTER_SIZE)
    yield range(footer.offset + FOOTER_SIZE, path.stat().st_size)


def test_every_bit_counts(treated: Path) -> None:
    verify(treated)
    few = random.Random(1)
    with open(treated, "r+b") as file:
        for places in surroundings(treated):
            for place in few.sample(places, min(len(places), 200)):
                (byte,) = os.pread(file.fileno(), 1, place)
                os.pwrite(file.fileno(), bytes([byte ^ 1 << few.randrange(8)]), place)
                with pytest.raises(AppError):
                    verify(treated)
                os.pwrite(file.fileno(), bytes([byte]), place)
    verify(treated)


@pytest.mark.parametrize("behind", [b"\0", bytes(64), b"more", COOKIE_OF_OURS])
def test_nothing_may_be_behind_the_section_table(treated: Path, behind: bytes) -> None:
    with open(treated, "ab") as file:
        file.write(behind)

    with pytest.raises(PayloadError):
        verify(treated)


def test_another_cookie_is_seen_even_in_a_table_that_is_one(welded: Path) -> None:
    # A section's name may be anything, and older stubs have no hash of their table.
    with open(welded, "r+b") as file:
        prefix = file.read(64)
        stub = Stub.of(bundle_file.load(welded))
        facts = {key: value for key, value in stub.facts.items() if key != layout.TABLE_SHA256}
        foreign = replace(stub.headers[1], name=COOKIE_MAGIC.decode())
        assert elf.is_elf(prefix)
    path = welded.with_name("foreign")
    with open(path, "w+b", buffering=0) as out:
        write_bundle(
            out.fileno(), replace(stub, headers=[*stub.headers, foreign], facts=facts), [], Manifest
        )

    with pytest.raises(PayloadError, match="another program in it"):
        verify(path)


@pytest.mark.parametrize("behind", [b"\0", b"more", COOKIE_OF_OURS])
def test_without_a_section_table_nothing_is_behind_the_footer(
    tmp_path: Path, behind: bytes
) -> None:
    verify(bundles.write(tmp_path / "chat", [bundles.stored(MODEL)]))
    with pytest.raises(PayloadError):
        verify(bundles.write(tmp_path / "chat", [bundles.stored(MODEL)], behind=behind))


@pytest.mark.parametrize("parts", [1, 2])
def test_gaps_are_zeros(tmp_path: Path, parts: int) -> None:
    entries = [bundles.stored(MODEL, name=f"part{i}") for i in range(parts)]
    path = bundles.write(tmp_path / "chat", entries)
    verify(path)
    with open(path, "r+b") as file:
        os.pwrite(file.fileno(), b"x", (2 << 20) * parts - 1)
    with pytest.raises(PayloadError, match="belong to nothing"):
        verify(path)


def test_gaps_are_no_longer_than_they_need_be(tmp_path: Path) -> None:
    # A sparse file of a tebibyte takes no room, and hours to read.
    path = bundles.write(tmp_path / "chat", [bundles.stored(b"", offset=2 << 20)])
    verify(path)
    with open(path, "r+b") as file:
        data = file.read()
        footer = bundle_file.load(path).footer
        far = 1 << 40
        file.truncate(0)
        moved = replace(
            footer,
            manifest_offset=footer.manifest_offset + far,
            pkg_offset=footer.pkg_offset + far,
            offset=footer.offset + far,
        )
        end = data[footer.manifest_offset : footer.offset] + moved.encode()
        os.pwrite(file.fileno(), data[: footer.prefix_length], 0)
        os.pwrite(file.fileno(), end, moved.manifest_offset)
    with pytest.raises(PayloadError, match="belong to nothing"):
        verify(path)


@pytest.mark.parametrize("what", ["launcher", "archive"])
def test_a_runtime_of_a_tebibyte_takes_no_memory(tmp_path: Path, what: str) -> None:
    path = bundles.write(tmp_path / "chat")
    bundle = bundle_file.load(path)
    footer, far = bundle.footer, 1 << 40
    bundle.close()
    data = path.read_bytes()[footer.manifest_offset : footer.offset]
    moved = replace(footer, offset=footer.offset + far)
    if what == "launcher":
        offset = footer.manifest_offset + far
        moved = replace(moved, prefix_length=far, manifest_offset=offset)
        moved = replace(moved, pkg_offset=footer.pkg_offset + far)
    else:
        offset = footer.manifest_offset
        moved = replace(moved, pkg_length=footer.pkg_length + far)
    with open(path, "r+b") as file:
        os.pwrite(file.fileno(), data, offset)
        os.pwrite(file.fileno(), moved.encode(), moved.offset)
    with pytest.raises(FormatError, match=f"the {what} claims"):
        verify(path)


def test_a_file_beside_is_looked_at_too(tmp_path: Path) -> None:
    stub = Stub(b"", [], b"", {})
    written = Written(len(MODEL), "stored", "")
    part = Part(
        Section("model", "model", 0, 0, len(MODEL), "stored", ""),
        lambda fd: os.write(fd, MODEL) and written,
        lambda: sha256(MODEL).hex(),
    )
    program, beside = tmp_path / "chat", tmp_path / "chat.payload"
    with open(program, "w+b", buffering=0) as out, open(beside, "w+b", buffering=0) as parts:
        write_with_sidecar(out.fileno(), parts.fileno(), beside.name, stub, [part], Manifest)
    verify(program)
    whole = beside.read_bytes()
    for damaged in (whole + b"\0", whole[: len(MODEL)] + b"x" + whole[len(MODEL) + 1 :]):
        beside.write_bytes(damaged)
        with pytest.raises(PayloadError, match="the file beside"):
            verify(program)


def test_footer_is_directly_behind_the_archive(tmp_path: Path) -> None:
    path = bundles.write(tmp_path / "chat")
    bundle = bundle_file.load(path)
    data = path.read_bytes()[: bundle.footer.offset]
    later = replace(bundle.footer, offset=bundle.footer.offset + 1)
    path.write_bytes(data + b"\0" + later.encode())
    bundle.close()

    with pytest.raises(PayloadError, match="belong to nothing"):
        verify(path)


def test_numbers_in_the_section_table_may_be_anything(welded: Path) -> None:
    size = welded.stat().st_size
    with open(welded, "r+b") as file:
        for row in range(1, 4):
            for field in range(16):
                place = size - 64 * row + 4 * field
                before = os.pread(file.fileno(), 4, place)
                for number in (0, 0x7FFFFFFF, 0xFFFFFFFF):
                    if (new := struct.pack("<I", number)) == before:
                        continue
                    os.pwrite(file.fileno(), new, place)
                    with pytest.raises(AppError):
                        verify(welded)
                os.pwrite(file.fileno(), before, place)
