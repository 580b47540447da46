"""An index in an executable: written, listed, verified, given back, and searched where it lies."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import bundles
import indexes
import pytest
from bundles import stored
from indexes import LIBRARY, encoded

from runtime.commands.bundles import about, verify_extract
from runtime.container import bundle_file
from runtime.container.layout import Manifest
from runtime.container.writer import Stub, write_bundle
from runtime.errors import PayloadError
from runtime.search import section
from runtime.search.writer import Writer

MODEL = stored(b"GGUF" + bytes(1000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    data = encoded(facts={"embedder": "none"})
    parts = [MODEL, stored(data, name="docs", kind="documents")]
    return bundles.write(tmp_path / "diary", parts)


def test_it_is_searched_where_it_lies(path: Path) -> None:
    with closing(bundle_file.load(path)) as bundle:
        (found,) = section.sections_of(bundle)
        index = section.opened(bundle, found)

        assert 0 == index.keywords("京都", 5)[0].piece
        assert found.offset > 2 << 20


def test_it_is_written_as_a_section(tmp_path: Path) -> None:
    writer = Writer(indexes.DIMENSIONS, {"embedder": "none"})
    for number, paper in enumerate(LIBRARY):
        pieces = indexes.cuts(paper)
        writer.add(paper, pieces, indexes.vectors(len(pieces), seed=number))
    with open(tmp_path / "diary", "w+b") as file:
        stub = Stub(b"launcher", [], b"", {})
        manifest = write_bundle(file.fileno(), stub, [section.part(writer)], Manifest)
    with closing(bundle_file.load(tmp_path / "diary")) as bundle:
        (found,) = section.sections_of(bundle)
        index = section.opened(bundle, found)

        assert ("docs", "documents", "stored") == (found.name, found.kind, found.codec)
        assert manifest.sections == bundle.manifest.sections
        data = os.pread(bundle.fd, found.length, found.offset)
        assert data == encoded(facts={"embedder": "none"})
        assert LIBRARY[0].text == index.document_text(0)


def test_it_is_listed(path: Path) -> None:
    with closing(bundle_file.load(path)) as bundle:
        facts = about.facts(bundle)
        lines = list(about.lines(facts))

    found = facts["sections"][1]
    assert (4, 8, 12) == (found["documents"], found["pieces"], found["dimensions"])
    assert {"embedder": "none"} == found["facts"]
    held = "4 documents in 8 pieces, found by words and vectors of 12 dimensions"
    assert 1 == sum(held in line for line in lines)


def test_one_without_vectors_says_so(tmp_path: Path) -> None:
    data = encoded(LIBRARY[:1], dimensions=0)
    path = bundles.write(tmp_path / "a", [stored(data, name="docs", kind="documents")])
    with closing(bundle_file.load(path)) as bundle:
        lines = list(about.lines(about.facts(bundle)))

    assert any("1 document in 3 pieces, found by words alone" in line for line in lines)


def test_it_is_given_back_as_lines_of_json(path: Path, tmp_path: Path) -> None:
    with closing(bundle_file.load(path)) as bundle:
        said = verify_extract.extract(bundle, "docs", tmp_path / "out.jsonl")

    assert "4 documents" in said
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert [paper.text for paper in LIBRARY] == [json.loads(line)["text"] for line in lines]


def test_damage_is_noticed_before_anything_is_given_back(path: Path, tmp_path: Path) -> None:
    with closing(bundle_file.load(path)) as bundle:
        (found,) = section.sections_of(bundle)
    with open(path, "r+b") as file:
        os.pwrite(file.fileno(), b"\xff", found.offset + found.length - 1)

    with closing(bundle_file.load(path)) as bundle:
        with pytest.raises(PayloadError, match=r"part 'docs' of .* is damaged: its SHA-256"):
            verify_extract.extract(bundle, "docs", tmp_path / "out.jsonl")
        with pytest.raises(PayloadError, match=r"part 'docs' of .* is damaged: its SHA-256"):
            list(verify_extract.verify(bundle))
    assert not (tmp_path / "out.jsonl").exists()


def test_what_is_no_index_is_listed_without_contents(tmp_path: Path) -> None:
    part = stored(b"no index", name="docs", kind="documents")
    path = bundles.write(tmp_path / "a", [part])
    with closing(bundle_file.load(path)) as bundle:
        assert {} == about.facts(bundle)["sections"][0]["types"]
        with pytest.raises(PayloadError, match=r"the part 'docs' of .* cannot be searched"):
            section.opened(bundle, section.sections_of(bundle)[0])
