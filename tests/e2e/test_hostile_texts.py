"""Strangers' grammars, templates and texts: the produced program goes on, and ends when told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile_texts import ESCAPES, LOOPS, ambiguous
from program import Program
from server_client import asked, call, post, said
from servers import Served, serve
from terminals import Terminal
from watched import LATE, health_is_prompt

FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
BUDGET = 25
"""Seconds in which several hostile requests at once are through, on a busy machine."""


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1", "-np", "2") as running:
        yield running


def answers(server: Served) -> bool:
    return bool(PARIS == said(post(server, "/v1/chat/completions", asked())))


@pytest.mark.parametrize("depth", [20, 30, 200])
def test_an_ambiguous_grammar_is_refused(server: Served, depth: int) -> None:
    request = {"prompt": "Hi", "max_tokens": 50, "grammar": ambiguous(depth)}
    with health_is_prompt(server):
        begun = time.monotonic()
        with ThreadPoolExecutor(7) as pool:
            found = list(
                pool.map(lambda _: post(server, "/v1/completions", request, 400), range(7))
            )
        assert time.monotonic() - begun < BUDGET
    assert all("takes too" in one["error"]["message"] for one in found)
    assert answers(server)


def test_a_grammar_that_becomes_slow_ends_its_answer_alone(server: Served) -> None:
    slow = ambiguous(9, '[a-z \\n]* | "x"').replace("root ::= a0", "root ::= [a-zA-Z .,]{1,5} a0")
    request = {"prompt": "Hi", "max_tokens": 60, "grammar": slow}
    with health_is_prompt(server), ThreadPoolExecutor(2) as pool:
        hostile = pool.submit(call, server, "POST", "/v1/completions", request)
        assert answers(server)
        status = hostile.result(BUDGET)[0]
    assert status in (200, 400)
    assert answers(server)


def test_a_template_without_end_is_refused(chat: Program) -> None:
    with serve(chat, "-t", "1", "--chat-template", LOOPS) as server:
        with health_is_prompt(server), ThreadPoolExecutor(4) as pool:
            found = list(
                pool.map(lambda _: post(server, "/v1/chat/completions", asked(), 400), range(4))
            )
        assert all("too long" in one["error"]["message"] for one in found)
        assert post(server, "/v1/completions", {"prompt": "Hi", "max_tokens": 2})


@pytest.mark.parametrize("kind", ["grammar", "template"])
def test_it_ends_when_told_whatever_it_does(chat: Program, kind: str) -> None:
    flags = ("--chat-template", LOOPS) if kind == "template" else ()
    with serve(chat, "-t", "1", "--grace", "1", *flags) as server, ThreadPoolExecutor(8) as pool:
        for _ in range(7):
            if kind == "grammar":
                body = {"prompt": "Hi", "grammar": ambiguous(100)}
                pool.submit(call, server, "POST", "/v1/completions", body)
            else:
                pool.submit(call, server, "POST", "/v1/chat/completions", asked())
        time.sleep(0.5)
        begun = time.monotonic()
        assert 0 == server.stop()
        assert time.monotonic() - begun < 2 + LATE


def test_a_chat_can_be_left_whatever_its_template_does(chat: Program) -> None:
    terminal = Terminal(chat.path, "--chat-template", LOOPS)
    assert terminal.shows("/help")
    terminal.type("Hi")
    assert terminal.shows("too long", seconds=BUDGET)
    terminal.type("/exit")
    assert 0 == terminal.ended()


def test_what_a_bundle_says_steers_no_terminal(chat: Program) -> None:
    terminal = Terminal(chat.path, "--greeting", f"Welcome{ESCAPES}!")
    assert terminal.shows("Welcome␛]0;owned␇␛[2J\ufffd31m!")
    terminal.type("/exit")
    assert 0 == terminal.ended()


def test_a_compressed_body_is_named(server: Served) -> None:
    status, _, body = call(
        server, "POST", "/v1/completions", {"prompt": "Hi"}, Content_Encoding="gzip"
    )
    assert 415 == status
    assert "content-encoding: gzip" in body["error"]["message"]


def test_more_prompts_than_ever_fit_are_refused(server: Served) -> None:
    error = post(server, "/v1/completions", {"prompt": ["Hi"] * 200, "max_tokens": 1}, 400)
    assert "200 answers" in error["error"]["message"]


def test_usage_counts_every_prompt_once(server: Served) -> None:
    def tokens(prompts: list[str], **more: int) -> int:
        body = {"prompt": prompts, "max_tokens": 1, **more}
        return int(post(server, "/v1/completions", body)["usage"]["prompt_tokens"])

    one, other = tokens(["Hi"]), tokens([FRANCE])
    assert one + other == tokens(["Hi", FRANCE]) == tokens(["Hi", FRANCE], n=2)


def test_a_token_of_thousands_of_digits(server: Served) -> None:
    body = {"prompt": "Hi", "max_tokens": 1, "logit_bias": {"9" * 5000: 1}}
    assert "logit_bias" in post(server, "/v1/completions", body, 400)["error"]["message"]
