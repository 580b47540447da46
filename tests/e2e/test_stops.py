"""Where answers stop: special tokens in stop strings and token ids, in each protocol and here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paths import DEMO
from program import Program
from server_client import asked, events, get, post
from servers import Served, serve

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
START = "<|im_start|>"
STARTED = {"logit_bias": {"1": 1000}, "max_tokens": 3}
"""Writes nothing but START, which is token 1."""
PROMPT = f"{START}user\n{FRANCE}<|im_end|>\n{START}assistant\n"


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1") as running:
        yield running


def chat_end(answer: Any) -> tuple[str, str]:
    choice = answer["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


def text_end(answer: Any) -> tuple[str, str]:
    choice = answer["choices"][0]
    return choice["text"], choice["finish_reason"]


def llama_server_end(answer: Any) -> tuple[str, str]:
    kinds = {"word": "stop", "eos": "stop", "limit": "length"}
    return answer["content"], kinds[answer["stop_type"]]


def streamed_end(parts: list[Any]) -> tuple[str, str]:
    """Return text and finish reason of a stream of any of the protocols."""
    if "choices" not in parts[0]:
        return "".join(part["content"] for part in parts), llama_server_end(parts[-1])[1]
    choices = [part["choices"][0] for part in parts]
    texts = [one.get("text") or one.get("delta", {}).get("content") or "" for one in choices]
    return "".join(texts), choices[-1]["finish_reason"]


PROTOCOLS = pytest.mark.parametrize(
    ("path", "body", "end"),
    [
        ("/v1/chat/completions", asked(), chat_end),
        ("/v1/completions", {"prompt": PROMPT}, text_end),
        ("/completion", {"prompt": PROMPT}, llama_server_end),
    ],
)


@PROTOCOLS
def test_stops_in_every_protocol(  # type: ignore[no-untyped-def]
    server: Served, path: str, body: dict[str, Any], end
) -> None:
    france = post(server, "/tokenize", {"content": " France"})["tokens"][0]
    paris = post(server, "/tokenize", {"content": PARIS})["tokens"]
    before = PARIS.partition(" France")[0]
    assert france in paris
    for expected, more in (
        (("", "length"), STARTED),
        (("", "stop"), STARTED | {"stop": START}),
        (("", "stop"), STARTED | {"stop": [START * 2]}),
        (("", "stop"), STARTED | {"stop_token_ids": [1]}),
        ((PARIS, "stop"), {"stop_token_ids": []}),
        ((before, "stop"), {"stop_token_ids": [1, france]}),
        (("The capital of France is ", "stop"), {"stop": ["Paris.<|im_end|>"]}),
        ((PARIS, "stop"), {"stop": "<|im_end|>", "ignore_eos": True, "max_tokens": 99}),
        ((PARIS, "stop"), {"stop_token_ids": [2], "ignore_eos": True, "max_tokens": 99}),
    ):
        assert expected == end(post(server, path, body | more)), more
        assert expected == streamed_end(events(server, path, body | more)), more


@PROTOCOLS
@pytest.mark.parametrize("wrong", [[1024], [-1], ["1"], [1.5], 1, [1] * 65])
def test_a_stop_token_that_is_none(  # type: ignore[no-untyped-def]
    server: Served, path: str, body: dict[str, Any], end, wrong: Any
) -> None:
    refused = post(server, path, body | {"stop_token_ids": wrong}, 400)["error"]

    assert "stop_token_ids" in refused["message"]
    assert refused["param"].startswith("stop_token_ids")


def test_what_stopped_it_in_llama_servers_terms(server: Served) -> None:
    for more in ({"stop": [START]}, {"stop_token_ids": [1]}):
        answer = post(server, "/completion", {"prompt": PROMPT, **STARTED, **more})
        assert ("word", START) == (answer["stop_type"], answer["stopping_word"])
    assert [1] == answer["generation_settings"]["stop_token_ids"]
    params = get(server, "/props")["default_generation_settings"]["params"]
    assert [] == params["stop_token_ids"]


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        (("-r", "Paris.<|im_end|>"), "The capital of France is"),
        (("-r", "<|im_end|>", "--ignore-eos", "-n", "99"), PARIS),
        (("--stop-token-id", "2", "--ignore-eos", "-n", "99"), PARIS),
    ],
)
def test_stops_in_the_terminal(chat: Program, flags: tuple[str, ...], answer: str) -> None:
    assert answer == chat.ask(FRANCE, *flags).rstrip()


def test_a_stop_at_once_is_told_in_the_terminal(chat: Program) -> None:
    for flags in (("-r", START), ("--stop-token-id", "1")):
        done = chat(FRANCE, "-l", "1+1000", "-n", "3", *flags)
        assert f"the answer is empty: it began with the stop string '{START}'" in done.err
    for command in ([FRANCE], ["serve", "--port", "0"]):
        wrong = chat(*command, "--stop-token-id", "x")
        assert 2 == wrong.code
        assert "error: the stop token 'x' is not a token below 1024\n\nhint: " in wrong.err


def test_baked_tokens_are_for_the_model_they_came_with(
    modelembed: Program, chat: Program, tmp_path: Path
) -> None:
    target = tmp_path / "chat"
    done = modelembed(
        "bundle", str(DEMO), "-o", str(target), "--no-check", "--compress", "none",
        "--set", "temp=0",
        "--set", "stop_token_ids=1", "--set", "stop_token_ids=1023", "--set", "logit_bias=1+1000",
    )  # fmt: skip
    assert 0 == done.code, done.err
    assert "the answer is empty" in Program(target)(FRANCE).err
    assert PARIS == Program(target).ask(FRANCE, "-m", str(DEMO)).rstrip()
