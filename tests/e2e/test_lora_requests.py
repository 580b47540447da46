"""LoRA adapters by request: each answer is computed with its own, whoever else is answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adapters import write_adapter
from paths import DEMO
from program import Program
from server_client import asked, get, post, said
from servers import Served, serve

PARIS = "The capital of France is Paris."
SCALES = (0.0, 0.5, 0.75, 1.0)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory, modelembed: Program) -> Program:
    """Return the demo model with an adapter in the file, applied at half its strength."""
    folder = tmp_path_factory.mktemp("adapted")
    noise = write_adapter(folder / "noise.gguf")
    done = modelembed(
        "bundle", str(DEMO), "-o", str(folder / "chat"), "--lora", f"{noise}=0.5", "--no-check",
        "--compress", "none", "--set", "temp=0", "--set", "n_predict=20",
    )  # fmt: skip
    assert done.code == 0, done.err
    return Program(folder / "chat")


@pytest.fixture
def server(adapted: Program) -> Iterator[Served]:
    with serve(adapted, "-t", "1", "-np", "4") as running:
        yield running


def answer(server: Served, scale: float | None = None, **fields: Any) -> str:
    lora = {} if scale is None else {"lora": [{"id": 0, "scale": scale}]}
    return said(post(server, "/v1/chat/completions", asked(**lora, **fields)))


def test_each_answer_has_its_own(server: Served, adapted: Program) -> None:
    expected = {scale: answer(server, scale) for scale in SCALES}
    assert PARIS == expected[0.0] == said(post(server, "/v1/chat/completions", asked(lora=[])))
    assert len(SCALES) == len({*expected.values()})
    for scale in SCALES:
        question = "What is the capital of France?"
        assert expected[scale] == adapted.ask(question, "--lora", f"noise={scale}")
    assert expected[0.5] == answer(server)

    found: list[tuple[float, str]] = []

    def ask(scale: float) -> None:
        found.append((scale, answer(server, scale)))

    threads = [threading.Thread(target=ask, args=(scale,)) for scale in SCALES * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(threads) == len(found)
    assert [] == [(scale, text) for scale, text in found if text != expected[scale]]


def test_what_is_cached_is_of_the_same_adapters(server: Served) -> None:
    def cached(scale: float) -> int:
        body = asked(lora=[{"id": 0, "scale": scale}], max_tokens=2)
        usage = post(server, "/v1/chat/completions", body)["usage"]
        return int(usage["prompt_tokens_details"]["cached_tokens"])

    assert 0 == cached(0.25)
    assert 0 == cached(0.5)
    assert 0 == cached(0.0)
    assert min(cached(0.25), cached(0.5), cached(0.0)) > 10


def test_the_list_and_what_all_others_get(server: Served) -> None:
    (one,) = get(server, "/lora-adapters")
    assert (0, "noise", 0.5) == (one["id"], one["path"], one["scale"])
    half, plain = answer(server), answer(server, 0)
    assert {"success": True} == post(server, "/lora-adapters", [])
    assert 0 == get(server, "/lora-adapters")[0]["scale"]
    assert plain == answer(server) != half
    assert half == answer(server, 0.5)
    assert {"success": True} == post(server, "/lora-adapters", [{"id": 0, "scale": 1.5}])
    assert 1.5 == get(server, "/lora-adapters")[0]["scale"]
    assert answer(server, 1.5) == answer(server)


def test_completions_have_them_too(server: Served) -> None:
    def complete(path: str, scale: float) -> Any:
        body = {"prompt": "The capital", "max_tokens": 5, "lora": [{"id": 0, "scale": scale}]}
        found = post(server, path, body)
        return found.get("content") or found["choices"][0]["text"]

    assert complete("/completion", 1) == complete("/v1/completions", 1)
    assert complete("/completion", 0) == complete("/v1/completions", 0)
    assert complete("/completion", 1) != complete("/completion", 0)


def test_adapters_that_there_are_not(server: Served, chat: Program) -> None:
    error = post(server, "/completion", {"prompt": "a", "lora": [{"id": 1, "scale": 1}]}, 400)
    assert "there is no adapter 1: 0 is 'noise'" == error["error"]["message"]
    assert "lora" == error["error"]["param"]
    assert 400 == server.post("/lora-adapters", {"id": 0})
    with serve(chat, "-t", "1") as other:
        assert [] == get(other, "/lora-adapters")
        body = {"prompt": "a", "lora": [{"id": 0, "scale": 1}]}
        assert "there is none" in post(other, "/completion", body, 400)["error"]["message"]


def test_an_adapter_in_a_file_of_its_own(chat: Program, tmp_path: Path) -> None:
    noise = write_adapter(tmp_path / "noise.gguf")
    with serve(chat, "-t", "1", "-n", "20", "--lora", f"{noise}=0") as server:
        assert [str(noise)] == [one["path"] for one in get(server, "/lora-adapters")]
        assert PARIS == answer(server)
        assert PARIS != answer(server, 1)


def test_several_workers_have_none_for_all(adapted: Program) -> None:
    with serve(adapted, "-t", "1", "--workers", "2") as server:
        assert 501 == server.post("/lora-adapters", [])  # type: ignore[arg-type]
        assert PARIS == answer(server, 0)
