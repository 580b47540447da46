"""llama-server's fields of requests that change how one answer is generated, or told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from program import Program
from server_client import asked, events, get, post, said
from servers import Served, serve

PARIS = "The capital of France is Paris."
ORDER = ["penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc",
         "temperature"]  # fmt: skip


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1", "-np", "3", "-c", "4096") as running:
        yield running


def complete(server: Served, **fields: Any) -> Any:
    return post(server, "/completion", {"prompt": "The capital of", "n_predict": 6, **fields})


def test_the_sequence_can_be_chosen(server: Served) -> None:
    for number in (2, 0, 1):
        assert number == complete(server, id_slot=number)["id_slot"]
    assert 1 == complete(server, id_slot=4)["id_slot"]  # it is counted round
    assert complete(server)["id_slot"] in (0, 1, 2)
    parts = events(server, "/completion", {"prompt": "a", "n_predict": 3, "id_slot": 2})
    assert {2} == {part["id_slot"] for part in parts}
    assert PARIS == said(post(server, "/v1/chat/completions", asked(id_slot=1)))


def test_who_waits_for_a_sequence_lets_others_pass(server: Served) -> None:
    ends: dict[str, float] = {}

    def ask(name: str, **fields: Any) -> None:
        complete(server, ignore_eos=True, temperature=1, **fields)
        ends[name] = time.monotonic()

    first = threading.Thread(target=ask, args=("first",), kwargs={"id_slot": 0, "n_predict": 400})
    first.start()
    while not get(server, "/slots")[0]["is_processing"]:
        time.sleep(0.01)
    second = threading.Thread(target=ask, args=("second",), kwargs={"id_slot": 0, "n_predict": 1})
    second.start()
    while "requests_deferred 1" not in get(server, "/metrics"):
        time.sleep(0.01)
    ask("third", n_predict=1)
    first.join()
    second.join()
    assert ends["third"] < ends["first"] < ends["second"]


def test_the_fields_of_an_answer_can_be_chosen(server: Served) -> None:
    names = ["content", "generation_settings/n_predict", "timings/nothing", "no"]
    answer = complete(server, response_fields=names)
    assert ["content", "generation_settings/n_predict"] == [*answer]
    assert 6 == answer["generation_settings/n_predict"]
    last = events(server, "/completion", {"prompt": "a", "n_predict": 2,
                                          "response_fields": ["stop_type"]})[-1]  # fmt: skip
    assert {"stop_type": "limit"} == last
    assert "content" in complete(server, response_fields=[])


def test_samplers_and_their_order(server: Served) -> None:
    def settings(**fields: Any) -> Any:
        return complete(server, **fields)["generation_settings"]["samplers"]

    assert ORDER == settings()
    assert ["top_k", "temperature"] == settings(samplers=["top-k", "temp"])
    assert ["top_k", "temperature", "infill"] == settings(samplers="kti")
    hot = {"temperature": 100, "seed": 1, "top_k": 1}
    usual = complete(server)["content"]
    assert usual == complete(server, **hot)["content"]
    assert usual != complete(server, samplers=["temperature"], **hot)["content"]
    for samplers in (["top_k", "magic"], "kq"):
        error = complete_wrong(server, samplers=samplers)
        assert ("samplers", True) == (error["param"], "there is no sampler" in error["message"])


def complete_wrong(server: Served, **fields: Any) -> Any:
    return post(server, "/completion", {"prompt": "The", **fields}, 400)["error"]


def test_only_what_is_near_the_likeliest(server: Served) -> None:
    wild = {"temperature": 3, "top_k": 0, "top_p": 1, "min_p": 0}
    usual = complete(server)["content"]
    for seed in range(4):
        assert usual == complete(server, top_n_sigma=0.01, seed=seed, **wild)["content"]
    assert any(usual != complete(server, seed=seed, **wild)["content"] for seed in range(4))
    assert -1 == complete(server, top_n_sigma=-7)["generation_settings"]["top_n_sigma"]


def test_probabilities_after_all_samplers(server: Served) -> None:
    def likelihoods(**fields: Any) -> Any:
        answer = complete(server, n_probs=3, post_sampling_probs=True, **fields)
        return answer["completion_probabilities"]

    for one in likelihoods(temperature=0):
        assert {"id", "token", "bytes", "prob", "top_probs"} == one.keys()
        assert [(one["id"], 1.0)] == [(top["id"], top["prob"]) for top in one["top_probs"]]
    for one in likelihoods(temperature=1.5, seed=3, top_k=2, min_p=0, top_p=1):
        odds = [top["prob"] for top in one["top_probs"]]
        assert odds == sorted(odds, reverse=True)
        assert len(odds) <= 2
        assert 1 == pytest.approx(sum(odds), abs=1e-5)
        assert one["prob"] == next(t["prob"] for t in one["top_probs"] if t["id"] == one["id"])
    grammar = 'root ::= " of" | " France"'
    (first, *_) = likelihoods(grammar=grammar, temperature=1)
    assert first["prob"] > 0


def test_a_time_after_which_it_ends_with_the_line(server: Served) -> None:
    endless = {"ignore_eos": True, "temperature": 2, "min_p": 0, "top_p": 1, "top_k": 0}
    fields = {"prompt": "\n", "n_predict": 2000, "seed": 5, **endless}
    cut = post(server, "/completion", {**fields, "t_max_predict_ms": 1})
    assert ("limit", "\n") == (cut["stop_type"], cut["content"][-1:])
    assert cut["tokens_predicted"] < 2000
    whole = post(server, "/completion", {**fields, "n_predict": 300, "t_max_predict_ms": -1})
    assert 300 == whole["tokens_predicted"]


def test_what_is_kept_of_a_prompt_is_read_but_contexts_are_not_shifted(server: Served) -> None:
    assert complete(server)["content"] == complete(server, n_keep=-1)["content"]
    assert "n_keep" == complete_wrong(server, n_keep=-2)["param"]
