"""Finding a payload, reading ranges of it, and writing them to new files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import bundles
import open_files
import pytest

from runtime import bounds
from runtime.container import bundle_file
from runtime.container.bundle_file import CHUNK
from runtime.container.layout import FOOTER_SIZE, MAGIC
from runtime.errors import AppError, FormatError, ModelError, PayloadError, UsageError
from runtime.host import atomic_write
from runtime.model.model_file import open_file

MODEL = b"GGUF and much more" * 100


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return bundles.write(tmp_path / "chat", [bundles.stored(MODEL)])


def test_bundle_is_found_and_read(bundle: Path) -> None:
    found = bundle_file.load(bundle)
    section = found.section("model")

    assert ("Test", "model") == (found.manifest.name, section.name)
    assert section is found.model
    assert MODEL == b"".join(bundle_file.read_chunks(found.fd, section.offset, section.length))
    found.close()


def test_stub_has_no_model(tmp_path: Path) -> None:
    found = bundle_file.load(bundles.write(tmp_path / "stub"))

    assert found.model is None
    with pytest.raises(PayloadError, match="has no part 'model'") as caught:
        found.section("model")
    assert "its parts: none" == caught.value.hint
    found.close()


@pytest.mark.parametrize("behind", [0, 1, 2500, bounds.SECTION_TABLE - FOOTER_SIZE])
def test_section_table_may_follow_the_footer(tmp_path: Path, behind: int) -> None:
    path = bundles.write(tmp_path / "chat", behind=b"\xff" * behind)

    bundle_file.load(path).close()


def test_footer_further_from_the_end_is_not_looked_for(tmp_path: Path) -> None:
    path = bundles.write(tmp_path / "chat", behind=bytes(bounds.SECTION_TABLE))

    assert bundle_file.find(path) is None


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"GGUF" + bytes(100), b"x" * 100_000])
def test_other_files_are_no_bundles(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    assert bundle_file.find(path) is None
    what = "is a model, not yet a program" if content[:4] == b"GGUF" else "is not a file made by"
    with pytest.raises(FormatError, match=what):
        bundle_file.load(path)


def test_a_text_about_bundles_is_none(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text(f"A footer begins with {MAGIC.decode()}, " + "and then goes on. " * 20)

    assert bundle_file.find(path) is None


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = bundles.write(tmp_path / "chat", [bundles.stored(b"GGUF")]).read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole)
    # Every length around footer, archive and manifest, then some in the padding and the model.
    lengths = [*range(len(whole) - 1, len(whole) - 700, -1), 3 << 20, (2 << 20) + 2, 100, 1, 0]
    for length in lengths:
        os.truncate(path, min(length, len(whole)))
        with pytest.raises(FormatError):
            bundle_file.load(path)


def test_every_damaged_byte_of_the_manifest_is_noticed(tmp_path: Path) -> None:
    path = bundles.write(tmp_path / "chat", [bundles.stored(b"GGUF")])
    found = bundle_file.load(path)
    start, end = found.footer.manifest_offset, found.footer.manifest_offset
    end += found.footer.manifest_length
    found.close()
    data = bytearray(path.read_bytes())
    with open(path, "r+b") as file:
        for position in range(start, end):
            os.pwrite(file.fileno(), bytes([data[position] ^ 1]), position)
            with pytest.raises(FormatError, match=r"the manifest of .* is damaged"):
                bundle_file.load(path)
            os.pwrite(file.fileno(), data[position : position + 1], position)


def test_bundle_with_something_put_before_it_says_so(bundle: Path) -> None:
    bundle.write_bytes(b"prefix" + bundle.read_bytes())

    with pytest.raises(FormatError, match="bytes before its footer, expected"):
        bundle_file.load(bundle)


@pytest.mark.parametrize(
    ("name", "message"), [("missing", "No such file"), ("", "Is a directory"), ("chat/x", "Not a")]
)
def test_file_that_cannot_be_opened(bundle: Path, name: str, message: str) -> None:
    with pytest.raises(PayloadError, match=f"cannot be opened: {message}"):
        bundle_file.load(bundle.parent / name)


def test_nothing_stays_open(bundle: Path) -> None:
    with open_files.none_left():
        bundle_file.load(bundle).close()
        os.truncate(bundle, 1000)
        with pytest.raises(FormatError):
            bundle_file.load(bundle)


def test_program_that_is_not_frozen_has_no_payload() -> None:
    assert bundle_file.own() is None


def test_file_that_becomes_shorter_is_noticed(bundle: Path) -> None:
    with open(bundle, "rb") as file:
        size = bundle.stat().st_size
        with pytest.raises(PayloadError, match=f"5 bytes are missing at {size}"):
            list(bundle_file.read_chunks(file.fileno(), size - 10, 15))


@pytest.mark.parametrize("length", [0, 1, CHUNK, CHUNK + 1])
def test_range_is_read_in_chunks(tmp_path: Path, length: int) -> None:
    data = bytes(7) + b"x" * length + b"behind"
    (tmp_path / "file").write_bytes(data)
    with open(tmp_path / "file", "rb") as file:
        found = list(bundle_file.read_chunks(file.fileno(), 7, length))

    assert b"x" * length == b"".join(found)
    assert all(0 < len(piece) <= CHUNK for piece in found)


PIECES = [b"0123", b"", memoryview(b"4567"), b"89"]


def test_new_file_is_written_piece_by_piece(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    atomic_write.write_new(tmp_path / "target", PIECES, 10, lambda *now: seen.append(now))

    assert b"0123456789" == (tmp_path / "target").read_bytes()
    assert ["target"] == os.listdir(tmp_path)
    assert [(4, 10), (4, 10), (8, 10), (10, 10)] == seen


def test_buffer_may_be_used_again_for_the_next_piece(tmp_path: Path) -> None:
    def pieces() -> Iterator[memoryview]:
        buffer = bytearray(5000)
        for number in range(10):
            buffer[:] = bytes([number]) * len(buffer)
            yield memoryview(buffer)

    atomic_write.write_new(tmp_path / "target", pieces(), 50_000)

    assert b"".join(bytes([n]) * 5000 for n in range(10)) == (tmp_path / "target").read_bytes()


def test_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("target", "link"):
        with pytest.raises(UsageError, match="exists"):
            atomic_write.write_new(tmp_path / name, PIECES, 10)

    assert b"precious" == (tmp_path / "target").read_bytes()
    assert ["link", "target"] == sorted(os.listdir(tmp_path))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "a pipe"), (Path("/dev/null"), "a device")):
        with pytest.raises(PayloadError, match=f"it is {what}, and must be a file"):
            bundle_file.load(path)
        with pytest.raises(ModelError, match=f"it is {what}, and must be a file"):
            open_file(path)


def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"0123"
        (tmp_path / "target").write_bytes(b"precious")

    with pytest.raises(UsageError, match="exists"):
        atomic_write.write_new(tmp_path / "target", pieces(), 4)

    assert b"precious" == (tmp_path / "target").read_bytes()
    assert ["target"] == os.listdir(tmp_path)


@pytest.mark.parametrize("error", [PayloadError("damaged"), KeyboardInterrupt()])
def test_failed_write_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(100_000)
        raise error

    with pytest.raises(type(error)):
        atomic_write.write_new(tmp_path / "target", pieces(), 200_000)

    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["missing/target", "source/target", "x" * 300])
def test_target_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "source").write_bytes(b"")

    with pytest.raises(AppError, match="cannot be written"):
        atomic_write.write_new(tmp_path / name, PIECES, 10)
    assert ["source"] == os.listdir(tmp_path)
