"""Strangers' grammars, templates and texts: the produced program goes on, and ends when told."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile_texts import ESCAPES, LOOPS, ambiguous
from program import Program
from server_client import asked, call, get, post, said, until
from servers import Served, serve
from terminals import Terminal
from watched import health_is_prompt

from benchmarks.endurance.hostility import HEAVY, heavy
from benchmarks.endurance.watch import sample

FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
ENDING = 6
"""Seconds after which a server with a grace of one has ended; what it does would take longer."""
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


def test_a_body_of_millions_of_values_delays_nobody(chat: Program) -> None:
    with serve(chat, "-t", "1", "--pooling", "mean") as server, health_is_prompt(server):
        for path, begin, item, end in HEAVY:
            status, _, answer = call(server, "POST", path, heavy(begin, item, end))
            assert status in (400, 413) and answer["error"]["message"], path
        pieces = {"content": "many words " * 700_000, "with_pieces": True}
        assert 200 == server.post("/tokenize", pieces)
        assert answers(server)


def test_the_memory_that_large_bodies_take_is_given_back(chat: Program) -> None:
    """It was 400 MB; each of its kinds takes less than twice the body beside the body itself."""
    with serve(chat, "-t", "1", "--pooling", "mean") as server:
        assert answers(server)
        before = resident(server)
        for path, begin, item, end in HEAVY * 2:
            call(server, "POST", path, heavy(begin, item, end))
        assert resident(server) < before + 200_000_000


def resident(server: Served) -> int:
    found = sample(server.process.pid, time.monotonic())
    assert found
    return found.memory


def test_more_prompts_than_fit_are_refused_before_they_are_read(chat: Program) -> None:
    """That would take long, and refuse the last of these for another reason."""
    prompts = ["Hi"] * 3000 + [[10**9]]
    with serve(chat, "-t", "1", "--pooling", "mean") as server:
        for path, field in (("/v1/completions", "prompt"), ("/completion", "prompt"),
                            ("/v1/embeddings", "input")):  # fmt: skip
            error = post(server, path, {field: prompts}, 400)["error"]
            assert ("3001" in error["message"], field) == (True, error["param"])


@pytest.mark.parametrize("kind", ["grammar", "schema", "template", "text"])
def test_it_ends_when_told_whatever_it_does(chat: Program, kind: str) -> None:
    flags = ("--chat-template", LOOPS) if kind == "template" else ()
    wide = {"properties": {f"p{number}": {"type": "string"} for number in range(20_000)}}
    with serve(chat, "-t", "1", "--grace", "1", *flags) as server, ThreadPoolExecutor(8) as pool:
        found = []
        for _ in range(7):
            if kind == "grammar":
                body = {"prompt": "Hi", "grammar": ambiguous(100)}
            elif kind == "text":
                body = {"prompt": "many words " * 700_000}
            elif kind == "schema":
                body = {"prompt": "Hi", "json_schema": wide}
            else:
                body = asked()
            path = "/v1/chat/completions" if kind == "template" else "/v1/completions"
            found.append(pool.submit(call, server, "POST", path, body))
        looks = itertools.count(1)  # each of which is a request itself
        until(lambda: requests(server) - next(looks) >= 7)
        begun = time.monotonic()
        assert 0 == server.stop()
        assert time.monotonic() - begun < ENDING
        assert {one.result()[0] for one in found} <= {400, 503}


def requests(server: Served) -> int:
    """Return how many have come in, with the one that asks."""
    found = re.search(r"^llamacpp:requests_total (\S+)$", get(server, "/metrics"), re.M)
    assert found
    return int(float(found[1]))


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
