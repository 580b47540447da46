"""Whatever a produced program holds, its licence is shown; what is only installed stays out."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
from paths import ROOT
from program import Program

from bundler.stub import stub_python, third_party
from bundler.targets import here


@pytest.fixture(scope="module")
def shown(chat: Program) -> dict[str, str]:
    """Return the text of each entry that the program shows, by its name."""
    done = chat("licenses")
    assert done.code == 0, done.err
    pieces = re.split(r"^=== (.+?) ?(\d[\w.+]*)?: .* ===$", done.out, flags=re.M)[1:]
    entries = dict(zip(pieces[::3], pieces[2::3], strict=True))
    del entries["The model"]
    return entries


def test_every_part_has_its_licence_shown(chat: Program, shown: dict[str, str]) -> None:
    inside = third_party.contents(chat.path)
    assert {"libcrypto.so.3", "nacl", "page/index.html", "PYZ.pyz"} <= inside
    target = here()
    assert target
    python = next(stub_python.plans(target)).prepared(print)
    assert [] == python.unlicensed(ROOT, chat.path)  # it knows best which modules are its own
    assert {entry["name"] for entry in python.licenses(ROOT)} == shown.keys()
    assert all(len(text.strip()) > 300 for text in shown.values())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zlib", "Jean-loup Gailly"),
        ("libffi", "Red Hat"),
        ("libuuid of util-linux", "Theodore Ts'o"),
        ("libsodium", "Frank Denis"),
        ("Zstandard (libzstd)", "Meta Platforms"),
        ("xxHash", "Yann Collet"),
        ("Expat", "Expat maintainers"),
        ("Software incorporated into Python", "Stefan Krah"),
    ],
)
def test_libraries_inside_libraries_are_named(shown: dict[str, str], name: str, words: str) -> None:
    assert words in shown[name]


def test_what_is_only_installed_stays_out(chat: Program) -> None:
    foreign = third_party.foreign()
    assert {"sniffio", "pytest", "numpy", "openai"} <= set(foreign)
    assert not {"click", "runtime", "_cffi_backend", "typing_extensions"} & set(foreign)

    inside = {entry.partition("/")[0] for entry in third_party.contents(chat.path)}
    assert set() == inside & set(foreign)


def test_an_unknown_part_is_found() -> None:
    entries = ["sniffio", "libgpl.so.2", "click", "libz.so.1", "rpds-1.dist-info/METADATA"]
    found = third_party.owners(entries, ROOT)

    assert {"click": {"click"}, "libz.so.1": {"zlib"}}.items() <= found.items()
    assert set() == found["sniffio"] | found["libgpl.so.2"]
    assert {""} == found["rpds-1.dist-info/METADATA"]


def test_all_that_is_shipped_is_installed() -> None:
    for name in third_party.DISTRIBUTIONS:
        assert importlib.metadata.version(name)
    assert Path(third_party.TEXTS, "zlib.txt").exists()
