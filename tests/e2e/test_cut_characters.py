"""An answer that is cut within a character ends before it, in every protocol and the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from program import Program
from server_client import asked, events, post
from servers import Served, serve

SMILE = "é😀"
"""None of its bytes but the last of each character ends one; the demo has a token for each byte."""
FORCED = {"grammar": f'root ::= "{SMILE}" | "{SMILE}{SMILE}"'}
BEGINNINGS = ("", "", "é", "é", "é", "é", SMILE)
"""What may be told after so many tokens."""


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1") as running:
        yield running


def of_chat(answer: Any) -> str:
    return str(answer["choices"][0]["message"]["content"])


def of_chunk(chunk: Any) -> str:
    return str(chunk["choices"][0]["delta"].get("content") or "")


def of_text(answer: Any) -> str:
    return str(answer["choices"][0]["text"])


def of_llama_server(answer: Any) -> str:
    return str(answer["content"])


PROTOCOLS = [
    ("/v1/chat/completions", asked(), of_chat, of_chunk),
    ("/v1/completions", {"prompt": "Once"}, of_text, of_text),
    ("/completion", {"prompt": "Once"}, of_llama_server, of_llama_server),
]


@pytest.mark.parametrize(("path", "body", "whole", "part"), PROTOCOLS)
@pytest.mark.parametrize("limit", range(len(BEGINNINGS)))
def test_the_server(  # type: ignore[no-untyped-def]
    server: Served, path: str, body: dict[str, Any], whole, part, limit: int
) -> None:
    request = {**body, **FORCED, "max_tokens": limit}

    assert BEGINNINGS[limit] == whole(post(server, path, request))
    assert BEGINNINGS[limit] == "".join(map(part, events(server, path, request)))


@pytest.mark.parametrize("limit", range(1, len(BEGINNINGS)))
def test_the_terminal(chat: Program, limit: int) -> None:
    done = chat("Hello", "-n", str(limit), "--grammar", FORCED["grammar"])

    assert 0 == done.code
    assert BEGINNINGS[limit] == done.out.rstrip("\n")


@pytest.mark.parametrize("known", [1, 2, 3])
def test_a_character_that_a_prompt_of_tokens_begins(server: Served, known: int) -> None:
    tokens = post(server, "/tokenize", {"content": f"ab{SMILE}"})["tokens"]
    cut = len(tokens) - 4 + known
    # Every byte of it is a token; a bias makes the model write the next one.
    request = {"prompt": tokens[:cut], "logit_bias": {str(tokens[cut]): 1000}, "max_tokens": 1}
    rest = "😀" if known == 3 else ""

    for path, whole in (("/v1/completions", of_text), ("/completion", of_llama_server)):
        assert rest == whole(post(server, path, request))
        assert rest == "".join(map(whole, events(server, path, request)))
    assert f"abé{rest}" == of_text(post(server, "/v1/completions", {**request, "echo": True}))
