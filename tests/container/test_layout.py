"""The footer and the manifest: the golden files, FORMAT.md and the code say the same."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from typing import Any

import bundles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import ROOT, TESTS

from runtime import bounds
from runtime.container.layout import (
    FOOTER_SIZE,
    Footer,
    Manifest,
    Section,
    align,
)
from runtime.errors import FormatError

GOLDEN_FOOTER = (TESTS / "golden" / "footer-v1.bin").read_bytes()
GOLDEN_FOOTER_2 = (TESTS / "golden" / "footer-v2.bin").read_bytes()
GOLDEN_MANIFEST = (TESTS / "golden" / "manifest-v1-planes.json").read_bytes()
OLDER_MANIFEST = (TESTS / "golden" / "manifest-v1.json").read_bytes()
SPECIFICATION = (ROOT / "FORMAT.md").read_text(encoding="utf-8")

MIB2 = 2 << 20
FOOTER = Footer(
    prefix_length=71632,
    manifest_offset=6292464,
    manifest_length=674,
    pkg_offset=6293152,
    pkg_length=30_000_000,
    offset=36_300_000,
    manifest_sha256=bytes.fromhex(
        "c5a680148fe5f4e2ce17780c9d1a6905b4143d35c7d5c6ba46c8ef46f2744223"
    ),
)
HASH = "0123456789abcdef" * 4
MODEL = Section("model", "model", MIB2, 3_000_000, 3_000_000, "stored", HASH, HASH)
SPARE = Section("spare", "model", 3 * MIB2, 1000, 5_000_000_000, "planes", "f" * 64, "e" * 64)
MANIFEST = Manifest(
    name="Ada",
    sections=(MODEL, SPARE),
    defaults={"system": "Sei kurz — 短く。", "temp": 0.2, "ctx_size": 2048},
    model={
        "architecture": "llama",
        "file": "ada.gguf",
        "license": "MIT",
        "parameters": 1_100_048_384,
    },
    stub={
        "engine": "llama-cpp-python 0.3.36",
        "platform": "linux-x86_64",
        "variants": ["haswell", "x64"],
    },
    tool="modelembed 0.1.0",
)


def test_footer_is_golden() -> None:
    assert GOLDEN_FOOTER == FOOTER.encode()
    assert FOOTER == Footer.decode(GOLDEN_FOOTER)


def test_manifest_is_golden() -> None:
    assert GOLDEN_MANIFEST == MANIFEST.encode()
    assert MANIFEST == Manifest.decode(GOLDEN_MANIFEST)
    MANIFEST.check(FOOTER)


def test_footer_of_version_2_is_as_it_was() -> None:
    footer = dataclasses.replace(FOOTER, version=2, runtime_id=bytes(range(16)))

    assert GOLDEN_FOOTER_2 == footer.encode()
    assert footer == Footer.decode(GOLDEN_FOOTER_2)
    later = bundles.pack_footer(**{**dataclasses.asdict(FOOTER), "runtime_id": bytes(range(16))})
    assert FOOTER == Footer.decode(later), "what version 1 reserves means nothing"


def test_older_manifest_is_still_read() -> None:
    # Its writer knew no hashes of coded bytes, and another codec.
    older = (
        dataclasses.replace(MODEL, coded_sha256=""),
        dataclasses.replace(SPARE, coded_sha256="", codec="zstd"),
    )
    found = Manifest.decode(OLDER_MANIFEST)

    assert dataclasses.replace(MANIFEST, sections=older) == found
    assert found == Manifest.decode(found.encode())
    found.check(FOOTER)


def test_specification_lists_the_footer_as_it_is() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\w+) \| `(\w+)` \|", SPECIFICATION, re.M)
    known = {"magic": b"MODELEMB", "crc": 0xDF67A6BF}
    position = 0
    for offset, size, kind, name in rows:
        assert position == int(offset), f"there is a hole before {name}"
        position += int(size)
        raw = GOLDEN_FOOTER[int(offset) : position]
        found = raw if kind == "bytes" else int.from_bytes(raw, "little")
        assert known.get(name, getattr(FOOTER, name, None)) == found, name

    assert FOOTER_SIZE == position
    assert set(known) | {f.name for f in dataclasses.fields(Footer)} == {row[3] for row in rows}


def test_specification_lists_the_keys_of_the_manifest() -> None:
    text = SPECIFICATION.partition("## The kind `state`")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (integer|string|array|object) \|", text, re.M))
    types = {"integer": int, "string": str, "array": list, "object": dict}
    document = json.loads(GOLDEN_MANIFEST)
    keys = {**document, **document["sections"][0], "manifest_sha256": ""}  # the last: a sidecar's

    assert {key: type(value) for key, value in keys.items()} == {
        key: types[kind] for key, kind in rows.items()
    }


@pytest.mark.parametrize("length", range(len(GOLDEN_FOOTER)))
def test_truncated_footer_is_refused(length: int) -> None:
    with pytest.raises(FormatError, match=f"has {length} bytes, expected 124"):
        Footer.decode(GOLDEN_FOOTER[:length])


@pytest.mark.parametrize("position", range(len(GOLDEN_FOOTER)))
def test_every_flipped_bit_of_the_footer_is_refused(position: int) -> None:
    for bit in range(8):
        damaged = bytearray(GOLDEN_FOOTER)
        damaged[position] ^= 1 << bit
        with pytest.raises(FormatError):
            Footer.decode(bytes(damaged))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"magic": b"MODELEMC"}, "starts with b'MODELEMC', expected b'MODELEMB'"),
        ({"version": 3}, "format version 3; this program reads 1 to 2"),
        ({"flags": 4}, "unknown flags 0x4"),
        (
            {"manifest_length": bounds.MANIFEST + 1, "pkg_offset": 30_000_000},
            "16777217 bytes, at mos",
        ),
        ({"prefix_length": (64 << 20) + 1}, "the launcher claims 67108865 bytes, at most 67108864"),
        ({"prefix_length": 6292465}, "out of order"),
        ({"manifest_offset": 6293153}, "out of order"),
        ({"manifest_length": 689}, "out of order"),
        ({"signature_length": 15}, "out of order"),
        ({"signature_length": 16_385, "pkg_offset": 7_000_000}, "16385 bytes, at most 16384"),
        ({"pkg_offset": 6292464}, "out of order"),
        ({"pkg_length": 36_300_000}, "out of order"),
        ({"pkg_length": 1 << 30}, "out of order"),
        ({"pkg_length": (1 << 30) + 1}, "the archive claims 1073741825 bytes, at most 1073741824"),
        ({"offset": 0}, "out of order"),
        ({"crc": 0}, "checksum"),
    ],
)
def test_footer_that_lies_is_refused(changes: dict[str, Any], message: str) -> None:
    data = bundles.pack_footer(**{**dataclasses.asdict(FOOTER), **changes})

    with pytest.raises(FormatError, match=message):
        Footer.decode(data)


OFFSETS = st.lists(st.integers(0, 1 << 62), min_size=6, max_size=6).map(sorted)


@given(OFFSETS, st.integers(0, bounds.MANIFEST), st.binary(min_size=32, max_size=32))
@settings(deadline=None)
def test_footer_round_trip(offsets: list[int], length: int, digest: bytes) -> None:
    prefix, manifest, pkg, end, _, offset = offsets
    length = min(length, pkg - manifest)
    archive = min(end - pkg, bounds.ARCHIVE)
    footer = Footer(min(prefix, bounds.LAUNCHER), manifest, length, pkg, archive, offset, digest)

    assert footer == Footer.decode(footer.encode())
    staged = dataclasses.replace(footer, version=2, runtime_id=digest[:16])
    assert staged == Footer.decode(staged.encode())


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FACT = (
    st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.floats(-1e18, 1e18) | TEXT
    | st.lists(TEXT, max_size=3)
)  # fmt: skip


@given(TEXT, st.dictionaries(TEXT, FACT, max_size=4))
@settings(deadline=None)
def test_manifest_round_trip(name: str, facts: dict[str, Any]) -> None:
    manifest = Manifest(name, (MODEL,), facts, facts, facts, name)

    assert manifest == Manifest.decode(manifest.encode())


def test_text_that_is_no_utf8_can_be_written() -> None:
    # A file name or an argument in another encoding reaches Python as lone surrogates.
    manifest = Manifest(name="mod\udce8le", model={"file": "mod\udce8le.gguf"})

    assert "le.gguf" == Manifest.decode(manifest.encode()).model["file"][-7:]


def refusal(**changes: Any) -> str:
    """Return why a manifest with these keys changed is refused."""
    entry = dataclasses.asdict(MODEL)
    with pytest.raises(FormatError) as caught:
        Manifest.decode(bundles.document([entry], **changes))
    return caught.value.problem


def section_refusal(**changes: Any) -> str:
    """Return why a section with these keys changed is refused."""
    entry = {k: v for k, v in (dataclasses.asdict(MODEL) | changes).items() if v is not ...}
    return refusal(sections=[entry])


KEYS = ("format", "name", "sections", "defaults", "model", "stub", "tool")
SECTION_KEYS = tuple(f.name for f in dataclasses.fields(Section))
OPTIONAL_KEYS = ("coded_sha256", "facts")
WRONG = (None, True, 1.5, "text", 7, [1], {"a": 1})


@pytest.mark.parametrize("key", KEYS)
def test_missing_key_is_named(key: str) -> None:
    assert f"the manifest lacks '{key}'" == refusal(**{key: ...})


@pytest.mark.parametrize("key", KEYS)
def test_key_of_a_wrong_type_is_named(key: str) -> None:
    right = type(json.loads(GOLDEN_MANIFEST)[key])
    for value in WRONG:
        if type(value) is not right:
            assert f"'{key}' is {type(value).__name__}, expected" in refusal(**{key: value})


@pytest.mark.parametrize("key", [key for key in SECTION_KEYS if key not in OPTIONAL_KEYS])
def test_missing_key_of_a_section_is_named(key: str) -> None:
    assert f"the manifest lacks 'sections[0].{key}'" == section_refusal(**{key: ...})


@pytest.mark.parametrize("key", SECTION_KEYS)
def test_key_of_a_wrong_type_in_a_section_is_named(key: str) -> None:
    right = type(getattr(MODEL, key))
    for value in WRONG:
        if type(value) is not right:
            message = f"'sections[0].{key}' is {type(value).__name__}, expected {right.__name__}"
            assert message in section_refusal(**{key: value})


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../model", "/etc/passwd", "a/b", "a\\b", "a\0b", "a\nb", "\x1b[2J", "a\x7f",
     "\u202egnp", "\ud800", "\u2028"],
)  # fmt: skip
def test_name_that_is_no_plain_name_is_refused(name: str) -> None:
    assert "the manifest's 'sections[0].name' is not a plain name" == section_refusal(name=name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "state"}, "is a state without hashes of its pieces"),
        (
            {"kind": "documents", "codec": "planes"},
            "is an index that cannot be searched where it lies",
        ),
        ({"kind": "embedder", "codec": "planes"}, "a second model that cannot be mapped where it"),
        ({"kind": "reranker", "codec": "zstd"}, "a second model that cannot be mapped where it"),
        ({"kind": "projector", "codec": "zstd"}, "a projector in a codec from before there were"),
        ({"facts": {"a": {}}}, "the manifest's 'facts' has a value of an unknown kind"),
        ({"kind": "virus"}, "is of kind 'virus', codec 'stored', which this program does not know"),
        ({"codec": "lzma"}, "codec 'lzma', which this program does not know"),
        ({"offset": -MIB2}, "has an impossible size"),
        ({"length": -1, "size": -1}, "has an impossible size"),
        ({"size": 1 << 63, "codec": "zstd"}, "has an impossible size"),
        ({"length": 1 << 100, "size": 1 << 100}, "has an impossible size"),
        ({"size": 2_999_999}, "stored section 'model' has two sizes"),
        ({"coded_sha256": "f" * 64}, "stored section 'model' has two hashes"),
        ({"codec": "planes", "coded_sha256": "0" * 63}, "has no SHA-256"),
        ({"codec": "planes", "coded_sha256": "A" * 64}, "has no SHA-256"),
        ({"sha256": "0" * 63}, "has no SHA-256"),
        ({"sha256": "A" * 64}, "has no SHA-256"),
        ({"sha256": "٠" * 64}, "has no SHA-256"),
    ],
)
def test_absurd_section_is_refused(changes: dict[str, Any], message: str) -> None:
    assert message in section_refusal(**changes)


def test_manifest_of_another_version_is_refused() -> None:
    assert "the manifest has format 3; expected 1 or 2" == refusal(format=3)


def test_two_sections_of_one_name_are_refused() -> None:
    entry = dataclasses.asdict(MODEL)

    assert "two sections of the same name" in refusal(sections=[entry, entry])


@pytest.mark.parametrize("item", WRONG[:-1])
def test_section_that_is_no_object_is_refused(item: Any) -> None:
    assert "the manifest's sections[0] is not an object" == refusal(sections=[item])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_refused(number: str) -> None:
    data = bundles.document(model={"parameters": 7}).replace(b"7", number.encode())

    with pytest.raises(FormatError, match="not JSON"):
        Manifest.decode(data)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"[]", b"7", b"{}"])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        Manifest.decode(data)


@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_deep_nesting_is_refused_or_harmless(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    data = bundles.document(model={"a": 7}).replace(b"7", nested)
    try:
        manifest = Manifest.decode(data)
    except FormatError:
        return

    # What was let in must also come out again: `inspect --json` does this.
    assert nested in json.dumps(dict(manifest.model), indent=None).encode()
    assert manifest.model == json.loads(json.dumps(dict(manifest.model), indent=1))


def test_absurdly_long_number_is_refused() -> None:
    data = bundles.document(model={"parameters": 7}).replace(b"7", b"9" * 100_000)
    if not hasattr(sys, "get_int_max_str_digits"):
        pytest.skip("this Python reads numbers of any length")

    with pytest.raises(FormatError, match="not JSON"):
        Manifest.decode(data)


@pytest.mark.parametrize("length", range(0, len(GOLDEN_MANIFEST), 7))
def test_truncated_manifest_is_refused(length: int) -> None:
    with pytest.raises(FormatError):
        Manifest.decode(GOLDEN_MANIFEST[:length])


@given(st.integers(0, len(GOLDEN_MANIFEST) - 1), st.integers(0, 255))
@settings(deadline=None, max_examples=300)
def test_mutated_manifest_is_read_or_refused(position: int, value: int) -> None:
    data = bytearray(GOLDEN_MANIFEST)
    data[position] = value
    try:
        Manifest.decode(bytes(data)).check(FOOTER)
    except FormatError as exc:
        assert exc.problem
        assert exc.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": MIB2 + 1}, "section 'model' is not aligned"),
        ({"offset": 0}, "overlaps another part or leaves"),  # on top of the launcher
        ({"offset": 3 * MIB2}, "overlaps another part or leaves"),  # on top of the other section
        ({"length": 2 * MIB2 + 1}, "section 'spare' overlaps another part or leaves"),
        ({"offset": 4 * MIB2}, "overlaps another part or leaves"),  # behind the manifest
        ({"length": (1 << 63) - 1}, "overlaps another part or leaves"),
    ],
)
def test_section_out_of_its_bounds_is_refused(changes: dict[str, Any], message: str) -> None:
    moved = dataclasses.replace(MODEL, **changes)
    manifest = dataclasses.replace(MANIFEST, sections=(moved, SPARE))

    with pytest.raises(FormatError, match=message):
        manifest.check(FOOTER)


def test_sections_may_touch_and_be_listed_in_any_order() -> None:
    full = dataclasses.replace(MODEL, length=2 * MIB2, size=2 * MIB2)

    dataclasses.replace(MANIFEST, sections=(SPARE, full)).check(FOOTER)


@pytest.mark.parametrize(
    ("expected", "offset", "alignment"),
    [(0, 0, 16), (16, 1, 16), (16, 16, 16), (1 << 40, 1, 1 << 40)],
)  # fmt: skip
def test_align(expected: int, offset: int, alignment: int) -> None:
    assert expected == align(offset, alignment)
