"""Where an answer ends on the real model: special tokens in stop strings, and tokens by id."""

from __future__ import annotations

import dataclasses

import pytest
from engines import ENDLESS, GREEDY, demo, engine, in_child, question

from runtime.errors import UsageError
from runtime.options.registry import Options

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
START, END = "<|im_start|>", "<|im_end|>"
STARTED = dataclasses.replace(ENDLESS, logit_bias=("1+1000",), n_predict=5)
"""Writes nothing but START, which is token 1."""


def ended(options: Options) -> tuple[str, str, str, int]:
    """Return text, reason, stop string and number of tokens of an answer."""
    with engine() as one:
        stream = one.submit(question(FRANCE), options)
        text = "".join(piece.text for piece in stream)
        stats = stream.stats
        return text, str(stats.reason), stats.stopped_by, stats.generated_tokens


def stopping(options: Options, *stops: str, **more: object) -> tuple[str, str, str, int]:
    return ended(dataclasses.replace(options, stop=stops, **more))  # type: ignore[arg-type]


@in_child
def test_a_special_token_stops_though_it_is_not_shown() -> None:
    assert ("", "length", "", 5) == stopping(STARTED)
    assert ("", "stop", START, 1) == stopping(STARTED, START)
    assert ("", "stop", START * 3, 3) == stopping(STARTED, START * 3)
    assert ("", "stop", START, 1) == stopping(STARTED, START, special=True)
    assert ("", "length", "", 5) == stopping(STARTED, "im_start")
    assert ("<|", "stop", "im_start", 1) == stopping(STARTED, "im_start", special=True)


@in_child
def test_a_stop_string_may_end_in_the_token_that_ends_the_answer() -> None:
    assert (PARIS, "stop", "") == stopping(GREEDY)[:3]
    text, reason, stopped, _ = stopping(GREEDY, f"Paris.{END}")
    assert ("The capital of France is ", "stop", f"Paris.{END}") == (text, reason, stopped)
    assert (PARIS, "stop", END) == stopping(GREEDY, END)[:3]
    assert (PARIS, "stop", "") == stopping(GREEDY, f"{END}{START}")[:3]


@in_child
def test_a_stop_string_counts_though_the_end_is_ignored() -> None:
    ignoring = dataclasses.replace(GREEDY, ignore_eos=True, n_predict=40)

    assert "length" == stopping(ignoring)[1]
    assert (PARIS, "stop", END) == stopping(ignoring, END)[:3]
    assert (PARIS[:-1], "stop", f".{END}") == stopping(ignoring, f".{END}")[:3]
    assert (PARIS, "stop", END) == stopping(ignoring, stop_token_ids=("2",))[:3]


@in_child
def test_a_token_stops_by_its_id_and_is_no_part_of_the_answer() -> None:
    with engine() as one:
        pieces = list(one.submit(question(FRANCE), GREEDY, alternatives=1))
    tokens = [token for piece in pieces for token in piece.tokens]
    third = tokens[2]
    before = b"".join(map(demo().piece, tokens[:2])).decode()
    shown = demo().piece(third).decode()

    assert (before, "stop", shown, 2) == stopping(GREEDY, stop_token_ids=(str(third),))
    assert ("", "stop", START, 0) == stopping(STARTED, stop_token_ids=("1",))
    with engine() as one:
        options = dataclasses.replace(GREEDY, stop_token_ids=(str(third),))
        pieces = list(one.submit(question(FRANCE), options, alternatives=1))
    assert tokens[:2] == [token for piece in pieces for token in piece.tokens]
    assert tokens[:2] == [chosen.token for piece in pieces for chosen in piece.chosen]


@pytest.mark.parametrize("wrong", ["1024", "-1", "x", "1.5", ""])
@in_child
def test_a_stop_token_that_is_none_is_refused(wrong: str) -> None:
    with engine() as one, pytest.raises(UsageError, match="is not a token below 1024"):
        one.submit(question(FRANCE), dataclasses.replace(GREEDY, stop_token_ids=(wrong,)))
