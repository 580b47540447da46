"""An embedding model in an executable: tried, put in, shown, given back; documents by meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
from encoders import write_encoder
from paths import DEMO
from program import Program
from real_models import real_embedder

QUICK = ("--no-check", "--compress", "none")
FILES = {
    "hours.txt": "The exhibition can be visited daily from nine o'clock in the morning.\n",
    "stones.txt": "The museum has a large collection of stones and of shells.\n",
    "bread.txt": "Flour, water, salt and a little yeast are all that a loaf is made of.\n",
}
MEANING = ("When", "does", "the", "museum", "open?")


def fill(root: Path, files: dict[str, str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


def similar(program: Path | Program, *words: str) -> list[str]:
    """Return the paths of what is found for words, the best first."""
    run = program if isinstance(program, Program) else Program(program)
    done = run("search", "--json", *words)
    assert done.code == 0, done.err
    results: list[dict[str, Any]] = json.loads(done.out)["results"]
    return [one["path"] for one in results]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("documents") / "mine", FILES)


@pytest.fixture(scope="module")
def minilm() -> Path:
    return real_embedder("minilm")


@pytest.fixture(scope="module")
def guide(
    tmp_path_factory: pytest.TempPathFactory, modelembed: Program, folder: Path, minilm: Path
) -> Path:
    target = tmp_path_factory.mktemp("guide") / "guide"
    done = modelembed(
        "bundle", str(DEMO), "-o", str(target), "--docs", str(folder), "--embedder", str(minilm),
        *QUICK,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (
        "embedder: all-MiniLM-L6-v2, vectors of 384 numbers, pooling mean, texts are given as they "
        "are; ranks rightly in English\n" in done.err
    )
    assert "warning: the embedder cannot be relied upon in German, French" in done.err
    return target


def test_documents_are_found_by_their_meaning(guide: Path) -> None:
    assert "bread.txt" == similar(guide, "How", "do", "I", "bake", "something?")[0]
    assert {"hours.txt", "stones.txt"} == {*similar(guide, *MEANING)[:2]}
    for flags in (("-t", "1"), ("--no-sandbox",)):
        assert "bread.txt" == similar(Program(guide, ()), *flags, "bake")[0]


def test_it_is_shown_checked_and_given_back(
    guide: Path, modelembed: Program, minilm: Path, tmp_path: Path
) -> None:
    info = Program(guide)("info").out
    assert "3 documents in 3 pieces, found by words and vectors of 384 dimensions" in info
    assert "all-MiniLM-L6-v2, vectors of 384 numbers, pooling mean\n" in info
    (section,) = (
        one
        for one in json.loads(modelembed("inspect", "--json", str(guide)).out)["sections"]
        if one["kind"] == "embedder"
    )
    facts = {"pooling": "mean", "dimensions": 384, "query_prefix": "", "passage_prefix": ""}
    assert facts.items() <= section["facts"].items()
    assert "ok    embedder     all-MiniLM-L6-v2" in Program(guide)("doctor").out
    assert "=== The embedder: all-MiniLM-L6-v2 ===\napache-2.0\n" in Program(guide)("licenses").out
    assert "intact\n" == modelembed("verify", str(guide)).out
    assert 0 == modelembed("extract", str(guide), "embedder", "-o", str(tmp_path / "e.gguf")).code
    assert minilm.read_bytes() == (tmp_path / "e.gguf").read_bytes()
    assert "the same bytes\n" == modelembed("rebuild-check", str(guide)).out


def test_the_model_answers_as_without_it(guide: Path, chat: Program) -> None:
    question = ("-p", "What is the capital of France?", "--temp", "0", "--passages", "0")
    assert chat(*question).out == Program(guide)(*question).out


@pytest.mark.parametrize("own", [True, False])
def test_an_edit_computes_vectors_of_other_documents(
    guide: Path, modelembed: Program, tmp_path: Path, own: bool
) -> None:
    edit = Program(guide, ("edit",)) if own else Program(modelembed.path, ("edit", str(guide)))
    more = fill(tmp_path / "more", {"dogs.txt": "Puppies bark whenever the postman rings.\n"})
    added, replaced = tmp_path / "added", tmp_path / "replaced"
    done = edit("--add-docs", str(more), "-o", str(added))
    assert done.code == 0, done.err
    assert "dogs.txt" == similar(added, "noisy", "pet")[0]
    assert "bread.txt" == similar(added, "bake")[0]
    done = edit("--docs", str(more), "-o", str(replaced))
    assert done.code == 0, done.err
    assert ["dogs.txt"] == similar(replaced, "noisy", "pet")


def test_without_it_documents_are_found_by_words(
    guide: Path, modelembed: Program, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    done = modelembed("edit", str(guide), "--remove", "embedder", "-o", str(bare))
    assert done.code == 0, done.err
    assert [] == similar(bare, "bake")
    assert ["bread.txt"] == similar(bare, "yeast")
    more = fill(tmp_path / "more", {"dogs.txt": "Puppies bark whenever the postman rings.\n"})
    done = modelembed("edit", str(bare), "--add-docs", str(more))
    assert (2, True) == (done.code, "another embedder's" in done.err)


def test_it_lies_beside_the_program_as_well(
    modelembed: Program, folder: Path, minilm: Path, tmp_path: Path
) -> None:
    target = tmp_path / "beside"
    done = modelembed(
        "bundle", str(DEMO), "-o", str(target), "--docs", str(folder), "--embedder", str(minilm),
        "--sidecar", *QUICK,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "bread.txt" == similar(target, "bake")[0]
    assert minilm.stat().st_size < Path(f"{target}.payload").stat().st_size


def test_a_wrong_pooling_is_refused(modelembed: Program, minilm: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    done = modelembed(
        "bundle", str(DEMO), "-o", str(target), "--embedder", str(minilm), "--embedder-pooling",
        "last", *QUICK,
    )  # fmt: skip
    assert (1, False) == (done.code, target.exists())
    assert "with the pooling 'last' (the last token)" in done.err
    assert done.err.endswith("hint: write --embedder-pooling mean\n")


def test_what_ranks_by_chance_is_refused(modelembed: Program, tmp_path: Path) -> None:
    target = tmp_path / "out"
    for flag, pooling, said in (
        ("--embedder", gguf.PoolingType.MEAN, "does not find what answers a question"),
        ("--reranker", gguf.PoolingType.RANK, "does not rank what answers a question first"),
    ):
        model = write_encoder(tmp_path / "random.gguf", pooling)
        done = modelembed("bundle", str(DEMO), "-o", str(target), flag, str(model), *QUICK)
        assert (1, False) == (done.code, target.exists())
        assert said in done.err


def test_an_embedder_that_is_no_model(modelembed: Program, tmp_path: Path) -> None:
    for flags, said in (
        (("--embedder", str(DEMO)), "is no embedding model"),
        (("--reranker", str(DEMO)), "is no model for reranking"),
        (("--embedder", "nowhere.gguf"), "nowhere.gguf cannot be read"),
    ):
        done = modelembed("bundle", str(DEMO), "-o", str(tmp_path / "out"), *flags, *QUICK)
        assert (1, True) == (done.code, said in done.err), done.err
