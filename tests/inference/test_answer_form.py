"""Answers held to a form: grammars that wait for a trigger, and reasoning with a budget."""

from __future__ import annotations

import dataclasses

import pytest
from engines import GREEDY, demo, engine, in_child, question

from runtime.errors import UsageError
from runtime.inference.answer_form import AnswerForm, FormSampler, Trigger
from runtime.inference.scheduler import Scheduler

CAPITAL = "What is the capital of France?"


def said(one: Scheduler, form: AnswerForm, limit: int = 24, **options: object) -> str:
    chosen = dataclasses.replace(GREEDY, n_predict=limit, **options)  # type: ignore[arg-type]
    return "".join(piece.text for piece in one.submit(question(CAPITAL), chosen, form=form))


@in_child
def test_a_lazy_grammar_waits_for_its_trigger() -> None:
    with engine() as one:
        plain = said(one, AnswerForm())
        assert "The capital of France is Paris." == plain
        untouched = AnswerForm(
            'root ::= "Rome"', lazy=True, triggers=(Trigger("word", "<tool_call>"),)
        )
        assert plain == said(one, untouched)
        for trigger in (
            Trigger("word", " capital"),
            Trigger("pattern", r"The( cap[a-z]*)"),
            Trigger("pattern_full", r"The( capital)"),
        ):
            form = AnswerForm('root ::= " capital" " is Rome."', lazy=True, triggers=(trigger,))
            assert "The capital is Rome." == said(one, form), trigger


@in_child
def test_a_trigger_that_does_not_fit_its_grammar_ends_the_grammar_and_nothing_else() -> None:
    form = AnswerForm('root ::= "Rome"', lazy=True, triggers=(Trigger("word", " capital"),))
    with engine() as one:
        assert "The capital of France is Paris." == said(one, form)


@in_child
def test_a_grammar_may_begin_in_the_prompt() -> None:
    form = AnswerForm('root ::= "ab" "The answer."', prompt_end="ab", covers_prompt_end=True)
    with engine() as one:
        assert "The answer." == said(one, form)
        wrong = dataclasses.replace(form, prompt_end="x")
        with pytest.raises(UsageError, match="does not begin as the chat template does"):
            said(one, wrong)


@in_child
def test_a_grammar_goes_on_behind_what_is_written() -> None:
    with engine() as one:
        assert "The answer." == said(one, AnswerForm('root ::= "abThe answer."', begun="ab"))


@in_child
@pytest.mark.parametrize("budget", [0, 3])
def test_reasoning_is_ended_when_its_budget_is_used_up(budget: int) -> None:
    form = AnswerForm(
        prompt_end="<x>", reasoning_start="<x>", reasoning_ends=("So:",), reasoning_budget=budget
    )
    with engine() as one:
        tokens = len(demo().tokenize("So:", beginning=False))
        text = said(one, form, limit=budget + tokens)
        assert text.endswith("So:")
        assert text.startswith("The" if budget else "So:")


@in_child
def test_no_budget_is_no_limit() -> None:
    form = AnswerForm(prompt_end="<x>", reasoning_start="<x>", reasoning_ends=("So:",))
    with engine() as one:
        assert "The capital of France is Paris." == said(one, form)


@in_child
def test_a_lazy_grammar_does_not_look_into_the_reasoning() -> None:
    form = AnswerForm(
        'root ::= "capital" "!"',
        lazy=True,
        triggers=(Trigger("word", "capital"),),
        prompt_end="<x>",
        reasoning_start="<x>",
        reasoning_ends=(" is",),
    )
    with engine() as one:
        assert "The capital of France is Paris." == said(one, form)


@in_child
def test_a_form_that_asks_for_nothing_restricts_nothing() -> None:
    sampler = FormSampler(demo(), AnswerForm())
    assert not sampler.restricts
    assert sampler.allows(5)
    sampler.close()
