"""Filling in and reranking, by models that were made for it, and by those that were not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest
from encoders import write_encoder
from gap_models import FILES, TOKENS, write_gap_model
from program import Program
from server_client import call, events, get, post
from servers import Served, serve

AROUND = {"input_prefix": "def add(", "input_suffix": "return a"}


@pytest.fixture(scope="module")
def gaps(stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = write_gap_model(tmp_path_factory.mktemp("gaps") / "gaps.gguf")
    with serve(Program(stub), "-m", str(model), "-t", "1", "--temp", "0", "-n", "8") as running:
        yield running


@pytest.fixture(scope="module")
def ranks(stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("ranks") / "ranks.gguf"
    model = write_encoder(path, gguf.PoolingType.RANK)
    with serve(Program(stub), "-m", str(model), "-t", "1") as running:
        yield running


def tokens(server: Served, text: str) -> list[int]:
    body = {"content": text, "parse_special": False}
    return list(post(server, "/tokenize", body)["tokens"])


def written(server: Served, prompt: list[int]) -> Any:
    """Return the tokens that the model writes after a prompt of tokens."""
    return post(server, "/completion", {"prompt": prompt, "return_tokens": True})["tokens"]


def filled(server: Served, **fields: Any) -> Any:
    return post(server, "/infill", {**AROUND, "return_tokens": True, **fields})


def test_a_gap_is_filled_in_by_the_models_own_tokens(gaps: Served) -> None:
    before, behind = (tokens(gaps, text) for text in AROUND.values())
    repository, files = tokens(gaps, "myproject\n"), tokens(gaps, "filename\n")
    head = [FILES["fim_rep"], *repository]
    name = [FILES["fim_sep"], *files]
    pre, suf, mid = TOKENS.values()
    plain = [*head, *name, pre, *before, suf, *behind, mid]
    answer = filled(gaps)
    assert len(plain) == answer["tokens_evaluated"]
    assert written(gaps, plain) == answer["tokens"]

    begun = [*head, *name, pre, *before, *tokens(gaps, "a, "), suf, *behind, mid]
    assert written(gaps, begun) == filled(gaps, prompt="a, ")["tokens"]
    extra = [{"text": "hello\n", "filename": "a.py"}, {"text": "world"}]
    others = [FILES["fim_sep"], *tokens(gaps, "a.py\n"), *tokens(gaps, "hello\n"),
              FILES["fim_sep"], *tokens(gaps, "tmp\n"), *tokens(gaps, "world")]  # fmt: skip
    more = [*head, *others, *plain[len(head) :]]
    assert written(gaps, more) == filled(gaps, input_extra=extra)["tokens"]
    text = "".join(part["content"] for part in events(gaps, "/infill", AROUND))
    assert answer["content"] == text


def test_what_is_far_from_the_gap_is_left_out(gaps: Served) -> None:
    long = filled(gaps, input_prefix="far " * 900 + "near", input_suffix="near" + " far" * 900)
    assert 300 < long["tokens_evaluated"] < 512 - 8
    assert "near" in long["prompt"]
    huge = filled(gaps, input_prefix="far " * 100_000 + "near", input_suffix="x" * 400_000)
    assert "near" in huge["prompt"]
    extra = [{"text": "first " * 100_000}, {"text": "last " * 40}]
    some = filled(gaps, input_extra=extra)
    assert "last" in some["prompt"]
    assert some["tokens_evaluated"] < 512 - 8
    assert filled(gaps, n_predict=200, input_extra=extra)["tokens_evaluated"] < 512 - 200


def test_a_suffix_is_the_same(gaps: Served) -> None:
    answer = filled(gaps)
    body = {"prompt": AROUND["input_prefix"], "suffix": AROUND["input_suffix"]}
    completion = post(gaps, "/v1/completions", body)
    assert answer["content"] == completion["choices"][0]["text"]
    assert answer["tokens_evaluated"] == completion["usage"]["prompt_tokens"]
    several = {**body, "prompt": [body["prompt"], tokens(gaps, body["prompt"])], "echo": True}
    texts = [choice["text"] for choice in post(gaps, "/v1/completions", several)["choices"]]
    assert [body["prompt"] + answer["content"]] * 2 == texts
    one = post(gaps, "/api/generate", {**body, "stream": False})
    assert answer["content"] == one["response"]
    assert "insert" in post(gaps, "/api/show", {"model": "Gaps"})["capabilities"]


def test_an_editor_fills_in_as_llama_vim_asks(gaps: Served) -> None:
    """First it lets texts around be read, then it asks for what is missing between two lines."""
    extra = [{"text": "def one():\n    return 1\n", "time": [17, 5], "filename": "one.py"}]
    common = {"input_extra": extra, "stream": False, "cache_prompt": True, "id_slot": 0}
    warm = {
        "input_prefix": "", "input_suffix": "", "prompt": "", "n_predict": 0, "temperature": 0.0,
        "samplers": [], "t_max_prompt_ms": 1, "t_max_predict_ms": 1, "response_fields": [""],
    }  # fmt: skip
    assert {} == post(gaps, "/infill", {**common, **warm})

    timings = [f"timings/{kind}_{unit}" for kind in ("prompt", "predicted")
               for unit in ("n", "ms", "per_token_ms", "per_second")]  # fmt: skip
    fields = ["content", *timings, "truncated", "tokens_cached"]
    asked = {
        "input_prefix": "def two():\n", "input_suffix": "\nprint(two())\n", "prompt": "    ret",
        "n_predict": 8, "n_indent": 4, "stop": [], "top_k": 40, "top_p": 0.90,
        "samplers": ["top_k", "top_p", "infill"], "t_max_prompt_ms": 500,
        "t_max_predict_ms": 1000, "response_fields": fields,
    }  # fmt: skip
    found = post(gaps, "/infill", {**common, **asked})
    assert {*fields} == found.keys()
    whole = filled(gaps, **{**common, **asked, "response_fields": None})["tokens_evaluated"]
    assert 0 < found["timings/prompt_n"] < whole  # the texts around had been read
    assert found["timings/predicted_n"] <= 8  # the sampler for gaps may end it at once


def test_a_model_without_such_tokens_says_so(chat: Program) -> None:
    with serve(chat, "-t", "1") as server:
        suffix = {"prompt": "a", "suffix": "b"}
        for path, body, status, field in (
            ("/infill", AROUND, 501, None),
            ("/v1/completions", suffix, 400, "suffix"),
            ("/v1/completions", {**suffix, "prompt": ["a", "b"]}, 400, "suffix"),
        ):
            error = post(server, path, body, status)["error"]
            assert "it has no token for prefix, suffix, middle" in error["message"]
            assert field == error["param"]
        assert "no token for prefix" in post(server, "/api/generate", suffix, 400)["error"]
        error = post(server, "/v1/rerank", {"query": "a", "documents": ["b"]}, 501)["error"]
        assert "not made for reranking" in error["message"]


def test_texts_are_sorted_by_their_scores(ranks: Served) -> None:
    texts = ["hello there", "the and in", "zzz", "and the other thing in the world"]
    body = {"query": "what is the thing", "documents": texts}
    found = post(ranks, "/v1/rerank", body)
    scores = [one["relevance_score"] for one in found["results"]]
    assert scores == sorted(scores, reverse=True)
    assert [0, 1, 2, 3] == sorted(one["index"] for one in found["results"])
    assert len({*scores}) == 4
    assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] > 20
    for path in ("/rerank", "/reranking", "/v1/reranking"):
        assert found == post(ranks, path, body)
    best = post(ranks, "/v1/rerank", {**body, "top_n": 2, "return_documents": True})["results"]
    assert [texts[one["index"]] for one in found["results"][:2]] == [
        one["document"]["text"] for one in best
    ]
    objects = post(ranks, "/v1/rerank", {**body, "documents": [{"text": one} for one in texts]})
    assert found == objects

    other = {"query": body["query"], "texts": texts, "return_text": True}
    second = post(ranks, "/rerank", other)
    assert [(one["index"], one["relevance_score"]) for one in found["results"]] == [
        (one["index"], one["score"]) for one in second
    ]
    assert [texts[one["index"]] for one in second] == [one["text"] for one in second]


def test_wrong_requests_for_ranks(ranks: Served) -> None:
    for body, field in (
        ({"documents": ["a"]}, None),
        ({"query": "a"}, "documents"),
        ({"query": "a", "documents": []}, "documents"),
        ({"query": "a", "documents": [5]}, "documents[0]"),
        ({"query": "a", "documents": ["b"], "top_n": 0}, "top_n"),
        ({"query": "a", "documents": ["b", "word " * 500]}, "documents[1]"),
    ):
        assert field == post(ranks, "/v1/rerank", body, 400)["error"]["param"], body
    assert 501 == call(ranks, "POST", "/v1/embeddings", {"input": "a"})[0]
    assert 200 == call(ranks, "GET", "/health")[0]
    assert ["rerank"] == get(ranks, "/props")["capabilities"]
