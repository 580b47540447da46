"""The samplers, on the demo model: each does what it says, and grammars hold."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from typing import Any

import pytest
from engines import ENDLESS, GREEDY, demo, engine, in_child, question

from runtime.errors import UsageError
from runtime.inference.scheduler import Scheduler

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
HOT = dataclasses.replace(
    GREEDY, temp=3.0, top_k=0, top_p=1.0, min_p=0.0, n_predict=20, ignore_eos=True
)


def ask(one: Scheduler, base: Any = GREEDY, **options: Any) -> str:
    stream = one.submit(question(FRANCE), dataclasses.replace(base, **options))
    return "".join(piece.text for piece in stream)


@in_child
def test_seeds() -> None:
    with engine() as one:
        # A prompt read in one go and one that is there already differ in their last bits, and so
        # hot a temperature brings that to light.
        ask(one)
        first, second = ask(one, HOT, seed=1), ask(one, HOT, seed=2)
        assert first == ask(one, HOT, seed=1) != second
        assert ask(one, HOT, seed=-1) != ask(one, HOT, seed=-1)


@in_child
def test_what_leaves_only_the_likeliest_makes_the_answer_certain() -> None:
    sure: list[dict[str, Any]] = [
        {"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}, {"temp": 0.0},
        {"temp": 0.0, "typical_p": 0.9},
    ]  # fmt: skip
    with engine() as one:
        for options in sure:
            assert PARIS == ask(one, HOT, ignore_eos=False, **options), options


@in_child
def test_what_changes_the_odds_changes_the_answer() -> None:
    base = dataclasses.replace(HOT, seed=7)
    warm = dataclasses.replace(base, temp=1.5)
    with engine() as one:
        plain, usual = ask(one, base), ask(one, warm)
        assert plain != ask(one, base, typical_p=0.2)
        assert plain != ask(one, base, mirostat=1, mirostat_ent=1.0)
        assert plain != ask(one, base, mirostat=2, mirostat_ent=1.0)
        assert usual != ask(one, warm, dynatemp_range=1.5)
        assert usual != ask(one, warm, xtc_probability=1.0, xtc_threshold=0.0)
        long = dataclasses.replace(ENDLESS, n_predict=60)
        repeated = ask(one, long)
        for penalty in (
            {"repeat_penalty": 1.5}, {"presence_penalty": 5.0}, {"frequency_penalty": 5.0},
            {"repeat_penalty": 1.5, "repeat_last_n": -1}, {"dry_multiplier": 5.0},
        ):  # fmt: skip
            assert repeated != ask(one, long, **penalty), penalty
        assert repeated == ask(one, long, repeat_penalty=1.5, repeat_last_n=0)
        assert repeated == ask(one, long, dry_multiplier=5.0, dry_penalty_last_n=0)


@in_child
def test_the_whole_context_counts_where_it_says_so() -> None:
    # The prompt is said already: with the whole of it penalised hard, its words are avoided.
    with engine() as one:
        assert "capital" not in ask(one, repeat_penalty=50.0, repeat_last_n=-1, temp=0.0)


@in_child
def test_a_window_beyond_the_context_costs_nothing() -> None:
    # The engine sets aside room for all of it: gigabytes, and a minute for filling them.
    most = 2**31 - 1
    with engine() as one:
        whole = ask(one, repeat_penalty=1.5, dry_multiplier=1.0, repeat_last_n=-1)
        begun = time.process_time()
        answer = ask(one, repeat_penalty=1.5, dry_multiplier=1.0, repeat_last_n=most,
                     dry_penalty_last_n=most)  # fmt: skip
        assert whole == answer
        assert time.process_time() - begun < 2


@in_child
def test_logit_bias() -> None:
    (the,) = demo().tokenize("The", beginning=False)[-1:]
    with engine() as one:
        assert PARIS == ask(one)
        assert not ask(one, logit_bias=(f"{the}-inf",)).startswith("The")
        assert "TheTheThe" in ask(one, logit_bias=(f"{the}+1000",), n_predict=5)
        for wrong in ("x", "5", "5=1", f"{demo().vocab_size}+1", "-5+1"):
            with pytest.raises(UsageError, match="logit bias"):
                ask(one, logit_bias=(wrong,))


@in_child
def test_grammar() -> None:
    with engine(parallel=8, context=2048) as many:
        assert "Rome" == ask(many, grammar='root ::= "Rome" | "Oslo"')[:4].replace("Oslo", "Rome")
        for seed in range(10):
            answer = ask(many, HOT, seed=seed, ignore_eos=False, grammar='root ::= [a-c]+ "!"')
            assert re.fullmatch("[a-c]*!?", answer), answer
        for wrong in ("hello", "root ::= nothing", "root ::= root", "a ::= [a]"):
            with pytest.raises(UsageError, match="grammar"):
                ask(many, grammar=wrong)


@in_child
def test_a_grammar_that_ends_ends_the_answer() -> None:
    with engine() as one:
        stream = one.submit(question(FRANCE), dataclasses.replace(GREEDY, grammar='root ::= "x"'))
        assert "x" == "".join(piece.text for piece in stream)
        assert "stop" == stream.stats.reason
        assert "x" == ask(one, ENDLESS, grammar='root ::= "x"')
        forbidden = [f"{token}-inf" for token in range(demo().vocab_size)]
        # Whoever wrote the grammar, or the bias, is told; nothing is wrong with the model.
        with pytest.raises(UsageError, match="allows none of the model's tokens"):
            ask(one, grammar='root ::= "x"', logit_bias=tuple(forbidden))
        with pytest.raises(UsageError, match="allows none of the model's tokens"):
            ask(one, grammar="root ::= [z-a]")
        assert PARIS == ask(one)


@in_child
def test_json_schema() -> None:
    document = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 12},
            "size": {"enum": ["small", "large"]},
            "sure": {"type": "boolean"},
        },
        "required": ["city", "size", "sure"],
    }
    with engine(parallel=8, context=2048) as many:
        streams = [
            many.submit(
                question(FRANCE),
                dataclasses.replace(
                    GREEDY, temp=1.0, seed=seed, n_predict=-1, json_schema=json.dumps(document)
                ),
            )
            for seed in range(16)
        ]
        for stream in streams:
            answer = json.loads("".join(piece.text for piece in stream))
            assert {"city", "size", "sure"} == answer.keys()
            assert answer["size"] in ("small", "large")
            assert isinstance(answer["sure"], bool)
        with pytest.raises(UsageError, match="not both"):
            ask(many, json_schema="{}", grammar='root ::= "x"')
        with pytest.raises(UsageError, match="at #/type"):
            ask(many, json_schema='{"type": "whole"}')


@in_child
def test_stop_strings_end_the_answer_across_tokens() -> None:
    with engine() as one:
        for stop in ("l of F", "France", "T", "Paris."):
            stream = one.submit(question(FRANCE), dataclasses.replace(GREEDY, stop=("no", stop)))
            assert PARIS[: PARIS.find(stop)] == "".join(piece.text for piece in stream)
            assert "stop" == stream.stats.reason
        assert PARIS == ask(one, stop=("Paris!",))


@in_child
def test_no_special_token_leaks_into_text() -> None:
    model = demo()
    specials = [model.token_text(token) for token in model.end_tokens]
    with engine(context=1024) as one:
        for seed in range(5):
            answer = ask(one, HOT, seed=seed, n_predict=100, ignore_eos=False)
            assert not any(text in answer for text in (*specials, "<|", "|>"))
