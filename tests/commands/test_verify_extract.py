"""Verifying the parts of a bundle, and taking them back out.

    PYTHONPATH=tests/support python tests/commands/test_verify_extract.py

writes the golden bundles, those that are missing.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import bundles
import pytest
from paths import TESTS

from runtime.commands.bundles import verify_extract
from runtime.container import bundle_file
from runtime.errors import AppError, PayloadError, UsageError
from runtime.host import atomic_write

MODEL = b"GGUF and much more" * 1000
CHUNKS = [
    bundles.chunk(MODEL[:7000]), bundles.chunk(MODEL[7000:11_000], 0), bundles.chunk(MODEL[11_000:])
]  # fmt: skip
FORMS = {
    "stored": bundles.stored(MODEL),
    "planes": bundles.planes(*CHUNKS),
    "zstd": bundles.zstd(MODEL, frame=5000),
}


GOLDEN = TESTS / "golden"


def test_what_there_is_no_room_for_is_told_before_anything_is_written(tmp_path: Path) -> None:
    bundle = bundle_file.load(bundles.write(tmp_path / "chat", [bundles.petabyte(MODEL)]))
    with pytest.raises(AppError, match=r"model.gguf would take 1342.2 GB, there are .* free"):
        verify_extract.extract(bundle, "model", tmp_path / "model.gguf")
    bundle.close()

    assert ["chat"] == os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("file", "written"),
    [("e5.gguf", "e5.gguf"), ("../e5.gguf", "e5.gguf"), ("", "embedder.gguf"),
     ("..", "embedder.gguf"), (["e5"], "['e5']"), (5, "5"), ("a\x1bb", "embedder.gguf")],
)  # fmt: skip
def test_a_second_model_is_called_as_its_file_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: object, written: str
) -> None:
    part = bundles.stored(MODEL, name="embedder", kind="embedder", facts={"file": file})
    bundle = bundle_file.load(bundles.write(tmp_path / "chat", [part]))
    monkeypatch.chdir(tmp_path)
    verify_extract.extract(bundle, "embedder")
    bundle.close()

    assert sorted(["chat", written]) == sorted(os.listdir(tmp_path))
    assert MODEL == (tmp_path / written).read_bytes()


def golden_bundles() -> dict[str, bundles.Part]:
    """Return the sections of the golden bundles; the files themselves are never made again."""
    text = b"GGUF and much more" * 20
    weights = {
        kind: b"".join(map(bytes.fromhex, path.read_text().split("\n\n")[0].split()))
        for kind, layout in bundles.LAYOUTS.items()
        if (path := GOLDEN / "weights" / f"{layout.name}.txt").exists()
    }
    # Each type as it is, raw, and in something that can be compressed.
    chunks = [bundles.chunk(text)]
    for kind, records in weights.items():
        chunks += [
            bundles.chunk(records, kind),
            bundles.chunk(records[: len(records) // 3] * 20, kind),
        ]
    original = b"".join(chunk.original for chunk in chunks)
    return {
        "bundle-v1-planes.bin": bundles.planes(*chunks),
        "bundle-v1-zstd.bin": bundles.zstd(original[:20_000], frame=3000),
        "bundle-v1-stored.bin": bundles.stored(original[:2000]),
    }


@pytest.mark.parametrize("name", golden_bundles())
def test_golden_bundle_is_still_read(name: str, tmp_path: Path) -> None:
    verify(GOLDEN / name)
    bundle = bundle_file.load(GOLDEN / name)
    verify_extract.extract(bundle, "model", tmp_path / "out")
    section = bundle.section("model")
    bundle.close()

    assert name == f"bundle-v1-{section.codec}.bin"
    expected = golden_bundles()[name].entry
    assert expected["sha256"] == hashlib.sha256((tmp_path / "out").read_bytes()).hexdigest()
    assert expected["size"] == section.size


def verify(path: Path) -> None:
    """Check everything in a bundle, whatever there is to remark."""
    bundle = bundle_file.load(path)
    try:
        for _ in verify_extract.verify(bundle):
            pass
    finally:
        bundle.close()


@pytest.fixture(params=FORMS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    facts = {"file": "ada.gguf"}
    return bundles.write(folder / "chat", [FORMS[request.param]], manifest={"model": facts})


def test_sound_parts_are_intact(path: Path) -> None:
    verify(path)


def test_damaged_part_is_named(path: Path) -> None:
    with open(path, "r+b") as file:
        os.pwrite(file.fileno(), b"\xff\xff", (2 << 20) + 50)

    with pytest.raises(PayloadError, match="part 'model'"):
        verify(path)


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    # Even one that would make no difference to what is restored.
    part = bundles.planes(bundles.chunk(b"a header " * 5), bundles.chunk(bytes(40), 0))
    path = bundles.write(tmp_path / "chat", [part], launcher=b"")
    with open(path, "r+b") as file:
        for position, byte in enumerate(part.data):
            os.pwrite(file.fileno(), bytes([byte ^ 0x10]), position)
            with pytest.raises(PayloadError, match=r"part 'model' of .* is damaged: its SHA"):
                verify(path)
            os.pwrite(file.fileno(), bytes([byte]), position)
    verify(path)


@pytest.mark.parametrize("known", [{}, {"coded_sha256": ""}, {"coded_sha256": ...}])
def test_hash_of_the_coded_bytes_may_be_missing(tmp_path: Path, known: dict[str, object]) -> None:
    for form, part in FORMS.items():
        entry = {key: value for key, value in (part.entry | known).items() if value is not ...}
        verify(bundles.write(tmp_path / form, [bundles.Part(part.data, entry)]))


@pytest.mark.parametrize(
    ("form", "key"), [("planes", "sha256"), ("planes", "coded_sha256"), ("zstd", "coded_sha256"),
                      ("zstd", "sha256"), ("stored", "sha256")],
)  # fmt: skip
def test_each_hash_is_compared(tmp_path: Path, form: str, key: str) -> None:
    other = hashlib.sha256(b"").hexdigest()
    part = bundles.Part(FORMS[form].data, FORMS[form].entry | {key: other})
    path = bundles.write(tmp_path / "chat", [part])
    threads = set(threading.enumerate())

    with pytest.raises(PayloadError, match=rf"part 'model' of .* expected {other}"):
        verify(path)
    assert set(threading.enumerate()) <= threads  # those of other tests may end meanwhile


@pytest.mark.parametrize("form", FORMS)
def test_original_that_is_another_leaves_nothing(tmp_path: Path, form: str) -> None:
    # It is written as it is restored, and found out only at its end.
    part = bundles.Part(FORMS[form].data, FORMS[form].entry | {"sha256": "0" * 64})
    bundle = bundle_file.load(bundles.write(tmp_path / "chat", [part]))
    with pytest.raises(PayloadError, match="is damaged: its SHA-256 is"):
        verify_extract.extract(bundle, "model", tmp_path / "out")
    bundle.close()

    assert ["chat"] == os.listdir(tmp_path)


def test_part_comes_back_under_its_own_name(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert "ada.gguf: 18 kB" == verify_extract.extract(bundle_file.load(path), "model")
    assert MODEL == (tmp_path / "ada.gguf").read_bytes()


def test_part_comes_back_under_a_given_name(path: Path, tmp_path: Path) -> None:
    verify_extract.extract(bundle_file.load(path), "model", tmp_path / "other")

    assert MODEL == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize(
    "name", ["../up", "/up", "a/../../up", "..", ".", "/", "", "a\0b", "a\nb", "\x1b[2J",
             "x" * 300, 7, ["up"]],
)  # fmt: skip
def test_name_of_a_stranger_stays_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: object
) -> None:
    bundle = bundles.write(tmp_path / "chat", [FORMS["stored"]], manifest={"model": {"file": name}})
    folder = tmp_path / "below" / "folder"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    verify_extract.extract(bundle_file.load(bundle), "model")

    (made,) = folder.iterdir()
    assert made.name.isprintable()
    assert MODEL == made.read_bytes()
    assert ["folder"] == os.listdir(tmp_path / "below")


def test_no_manifest_is_written_beside_an_old_signature(tmp_path: Path) -> None:
    path = bundles.write(tmp_path / "chat", [bundles.stored(b"GGUF")])
    (tmp_path / "m.minisig").write_bytes(b"old")
    with pytest.raises(UsageError, match="minisig exists already") as caught:
        verify_extract.extract(bundle_file.load(path), "manifest", tmp_path / "m")

    assert "-o" in caught.value.hint
    assert ["chat", "m.minisig"] == sorted(os.listdir(tmp_path))


@pytest.mark.parametrize("name", ["missing/x", "chat"])
def test_what_cannot_be_written_says_what_to_do(tmp_path: Path, name: str) -> None:
    path = bundles.write(tmp_path / "chat", [bundles.stored(b"GGUF")])
    with pytest.raises(AppError) as caught:
        verify_extract.extract(bundle_file.load(path), "model", tmp_path / name)

    assert "-o" in caught.value.hint


@pytest.mark.usefixtures("hangup_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_while_it_is_written_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    def data() -> Iterator[bytes]:
        yield b"half"
        signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt):
        atomic_write.write_new(tmp_path / "target", data(), 8)

    assert [] == os.listdir(tmp_path)


if __name__ == "__main__":
    for name, part in golden_bundles().items():
        if not (GOLDEN / name).exists():  # those that are there are a promise
            # Without a launcher the section may lie at the very beginning: a small file.
            bundles.write(GOLDEN / name, [part], launcher=b"")


def test_a_missing_key_is_told_of_an_unsigned_program_too(tmp_path: Path) -> None:
    bundle = bundle_file.load(bundles.write(tmp_path / "chat", [bundles.stored(MODEL)]))
    with pytest.raises(UsageError, match=r"nosuch\.pub cannot be read: there is no such file"):
        list(verify_extract.verify(bundle, "nosuch.pub"))
    told = verify_extract.extract(bundle, "manifest", tmp_path / "man.json")
    bundle.close()

    assert told.endswith("man.json: the manifest, without a signature: the program is not signed")
