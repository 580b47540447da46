"""A second model is looked at before it is bundled: what it is, and how it is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import ggufs
import pytest
from encoders import WIDTH, write_encoder

from bundler.commands.finding_options import prefixes_of, seconds
from bundler.model import second_models
from bundler.model.embedding_families import FAMILIES, family_of
from bundler.model.second_model_proof import proved
from bundler.model.second_models import SecondModel
from runtime.container.text_form import TextForm
from runtime.errors import AppError, GGUFError, UsageError

INSTRUCT = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return write_encoder(tmp_path / "encoder.gguf")


@pytest.mark.parametrize(
    ("name", "pooling", "query", "passage"),
    [
        ("Multilingual E5 Small", "mean", "query: ", "passage: "),
        ("e5-large-v2", "mean", "query: ", "passage: "),
        ("multilingual-e5-large-instruct", "mean", f"{INSTRUCT} ", ""),
        ("E5 Mistral 7b Instruct", "last", f"{INSTRUCT} ", ""),
        ("all-MiniLM-L6-v2", "mean", "", ""),
        ("Bge M3", "cls", "", ""),
        ("bge_small_en_v1.5", "cls", FAMILIES[6].query, ""),
        ("bge-large-zh-v1.5", "cls", "为这个句子生成表示以用于检索相关文章：", ""),
        ("nomic-embed-text-v1.5", "mean", "search_query: ", "search_document: "),
        ("Qwen3 Embedding 0.6B", "last", INSTRUCT, ""),
        ("gte-Qwen2-1.5B-instruct", "last", f"{INSTRUCT} ", ""),
        ("gte-base-en-v1.5", "cls", "", ""),
        ("gte-small", "mean", "", ""),
        ("embeddinggemma-300m", "mean", "task: search result | query: ", "title: none | text: "),
        ("Snowflake Arctic Embed M V2.0", "cls", "query: ", ""),
        ("snowflake-arctic-embed-s", "cls", FAMILIES[6].query, ""),
        ("ruri-v3-310m", "mean", "検索クエリ: ", "検索文書: "),
    ],
)
def test_families_are_known_by_their_names(
    name: str, pooling: str, query: str, passage: str
) -> None:
    family = family_of(["", name])
    assert family is not None
    assert (pooling, query, passage) == (family.pooling, family.query, family.passage)


@pytest.mark.parametrize("name", ["", "Llama 3", "something-e55", "SomeModel-Large"])
def test_other_names_are_of_no_family(name: str) -> None:
    assert family_of([name]) is None


def test_how_it_is_used_is_taken_from_its_header_its_name_and_the_user(tmp_path: Path) -> None:
    cls = write_encoder(tmp_path / "x.gguf", gguf.PoolingType.CLS, name="multilingual-e5-small")

    found = second_models.embedder(cls, {})
    assert TextForm("cls", "query: ", "passage: ") == found.form, "the header knows better"
    assert found.stated
    given = second_models.embedder(cls, {"query": "ask: "}, "last")
    assert TextForm("last", "ask: ", "passage: ") == given.form
    assert {"name": "multilingual-e5-small", "file": "x.gguf", "license": "MIT"}.items() <= (
        found.section_facts.items()
    )
    assert "query: " == found.section_facts["query_prefix"]

    unsaid = write_encoder(tmp_path / "y.gguf", None, name="bge-m3")
    assert TextForm("cls") == second_models.embedder(unsaid, {}).form
    unknown = write_encoder(tmp_path / "z.gguf", None)
    found = second_models.embedder(unknown, {})
    assert (TextForm("mean"), False) == (found.form, found.stated)


def test_what_is_no_embedding_model_is_told_so(tmp_path: Path) -> None:
    ranks = write_encoder(tmp_path / "ranks.gguf", gguf.PoolingType.RANK)
    with pytest.raises(GGUFError, match="is a model for reranking") as caught:
        second_models.embedder(ranks, {})
    assert "--reranker" in caught.value.hint

    chats = ggufs.write_model(tmp_path / "chats.gguf")
    with pytest.raises(GGUFError, match="names no pooling_type, and it generates text") as caught:
        second_models.embedder(chats, {})
    assert "--embedder-pooling last" in caught.value.hint
    assert TextForm("last") == second_models.embedder(chats, {}, "last").form

    parts = ggufs.split_model(chats, 3)
    with pytest.raises(GGUFError, match="one of 3 files of a split model"):
        second_models.embedder(parts[0], {}, "last")


def test_what_is_no_reranker_is_told_so(tmp_path: Path, encoder: Path) -> None:
    with pytest.raises(GGUFError, match="but an embedding model") as caught:
        second_models.reranker(encoder)
    assert "give it with --embedder" == caught.value.hint
    with pytest.raises(GGUFError, match="but another kind of model"):
        second_models.reranker(ggufs.write_model(tmp_path / "chats.gguf"))
    ranks = write_encoder(tmp_path / "ranks.gguf", gguf.PoolingType.RANK)
    assert second_models.reranker(ranks).form is None


def test_prefixes_are_given_by_side() -> None:
    words = ["query=Instruct: a=b\\nQuery: ", "passage="]
    assert {"query": "Instruct: a=b\nQuery: ", "passage": ""} == prefixes_of(words)
    for words, problem in (
        (["query: "], "is not query=TEXT"),
        (["document=x"], "is not query=TEXT"),
        (["query=a", "query=b"], "gives 'query' twice"),
        (["query=" + "x" * 4097], "has 4,097 characters, at most 4,096"),
    ):
        with pytest.raises(UsageError, match=problem):
            prefixes_of(words)


def test_options_that_name_no_model_are_refused(encoder: Path) -> None:
    assert () == seconds(None, (), "", None)
    for prefixes, pooling in ((["query=x"], ""), ((), "mean")):
        with pytest.raises(UsageError, match="and there is none"):
            seconds(None, prefixes, pooling, None)
    (one,) = seconds(encoder, (), "cls", None)
    assert ("embedder", TextForm("cls")) == (one.kind, one.form)


Line = dict[str, Any]


def line(pooling: str, right: int, *languages: str) -> Line:
    names = ("English", "German", "Japanese")
    return {
        "pooling": pooling, "dimensions": WIDTH, "passes": "English" in languages, "right": right,
        "of": 18, "languages": list(languages), "others": [*({*names} - {*languages})],
    }  # fmt: skip


@pytest.fixture
def engine_says(tmp_path: Path, clean_home: Path) -> Callable[..., Path]:
    """Return a function that gives a runtime which says these lines."""

    def write(*lines: Line | str, code: int = 0, err: str = "") -> Path:
        stub = tmp_path / "stub"
        said = "\n".join(json.dumps(one) for one in lines)
        stub.write_text(f"#!/bin/sh\ncat << 'END'\n{said}\nEND\nprintf %s '{err}' >&2\nexit {code}")
        stub.chmod(0o755)
        return stub

    return write


def test_a_proof_that_succeeds(engine_says: Callable[..., Path], encoder: Path) -> None:
    model = second_models.embedder(encoder, {"query": "ask: "})
    found, said = proved(engine_says(line("mean", 9, "English", "German")), model)
    assert found.form == TextForm("mean", "ask: ", "", WIDTH)
    assert [
        "embedder: tiny bert, vectors of 32 numbers, pooling mean, texts begin with 'ask: '; "
        "ranks rightly in English, German",
        "warning: the embedder cannot be relied upon in Japanese",
    ] == said


def test_a_pooling_that_no_header_stated_is_told(
    engine_says: Callable[..., Path], tmp_path: Path
) -> None:
    model = second_models.embedder(write_encoder(tmp_path / "x.gguf", None), {})
    _, said = proved(engine_says(line("mean", 9, "English")), model)
    assert said[0].startswith("warning: the embedder's header does not say how it pools")


def test_a_wrong_pooling_is_refused_and_the_right_one_named(
    engine_says: Callable[..., Path], encoder: Path
) -> None:
    model = second_models.embedder(encoder, {}, "cls")
    lines = [line("cls", 2), line("mean", 18, "English"), line("last", 3)]
    with pytest.raises(GGUFError, match=r"'cls' \(the first token\): 2 of 18 pairs") as caught:
        proved(engine_says(*lines), model)
    assert "with 'mean' (the mean of all tokens) all in English are" in caught.value.problem
    assert "write --embedder-pooling mean" == caught.value.hint


def test_no_pooling_that_is_right(engine_says: Callable[..., Path], encoder: Path) -> None:
    model = second_models.embedder(encoder, {})
    lines = [line("mean", 2), line("cls", 4), line("last", 3)]
    with pytest.raises(GGUFError, match="and with no other more") as caught:
        proved(engine_says(*lines), model)
    assert "it may be no embedding model" in caught.value.hint


def test_a_model_of_another_language(engine_says: Callable[..., Path], encoder: Path) -> None:
    model = second_models.embedder(encoder, {})
    lines = [line("mean", 7, "Japanese"), line("cls", 4), line("last", 3)]
    _, said = proved(engine_says(*lines), model)
    assert said[0].endswith("ranks rightly in Japanese")
    assert "English" in said[1]
    with pytest.raises(GGUFError, match="does not find"):
        proved(engine_says(line("mean", 7, "Japanese"), line("cls", 7), line("last", 3)), model)


def test_an_engine_that_fails(engine_says: Callable[..., Path], encoder: Path) -> None:
    model = second_models.embedder(encoder, {})
    err = "error: it is too odd\n\nhint: bend it"
    with pytest.raises(AppError, match="as the embedder: it is too odd") as caught:
        proved(engine_says(code=1, err=err), model)
    assert "bend it" == caught.value.hint


def test_a_reranker_that_ranks_wrongly(engine_says: Callable[..., Path], tmp_path: Path) -> None:
    ranks = write_encoder(tmp_path / "ranks.gguf", gguf.PoolingType.RANK)
    model: SecondModel = second_models.reranker(ranks)
    with pytest.raises(GGUFError, match="does not rank what answers a question first: 2 of 18"):
        proved(engine_says(line("", 2)), model)
    _, said = proved(engine_says(line("", 18, "English", "German", "Japanese")), model)
    assert ["reranker: tiny bert; ranks rightly in English, German, Japanese"] == said
