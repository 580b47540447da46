"""A question that goes on, rewritten by the model as one more turn of the same conversation."""

from __future__ import annotations

from fakes import FakeEngine, FakeTemplate, FakeTokenizer

from runtime.dialogue.answerer import LocalAnswerer
from runtime.dialogue.rewriting import LONGEST, TASK, Rewriter
from runtime.options.registry import Options

TURNS = [
    {"role": "user", "content": "When did it rain?"},
    {"role": "assistant", "content": "In May."},
    {"role": "user", "content": "And the year before?"},
]
WHOLE = "When did it rain in 2023?"
OPTIONS = Options(system="You are a diary.", temp=2.0, json_schema='{"type": "object"}')


def rewriter(engine: FakeEngine) -> Rewriter:
    template = FakeTemplate()
    return Rewriter(LocalAnswerer(engine, FakeTokenizer(), template), OPTIONS)  # type: ignore[arg-type]


def test_the_model_is_asked_after_the_turns_before() -> None:
    engine = FakeEngine([WHOLE])

    assert WHOLE == rewriter(engine)(TURNS)
    (prompt,) = engine.prompts
    before = "system: You are a diary.\nuser: When did it rain?\nassistant: In May.\n"
    assert f"{before}user: {TASK}And the year before?\nassistant: " == prompt


def test_an_own_system_prompt_stays_alone() -> None:
    engine = FakeEngine([WHOLE])
    rewriter(engine)([{"role": "system", "content": "Be brief."}, *TURNS])

    assert engine.prompts[0].startswith("system: Be brief.\nuser: ")


def test_it_writes_no_more_than_a_question() -> None:
    found = rewriter(FakeEngine(["a" * (2 * LONGEST)]))(TURNS)

    assert found is not None
    assert len(found) <= 2 * LONGEST


def test_one_that_fails_is_none() -> None:
    assert rewriter(FakeEngine([WHOLE], context_size=10))(TURNS) is None


def test_one_that_is_not_wanted_any_more_is_ended() -> None:
    engine = FakeEngine(["When did ", "it rain ", "in 2023?"])
    seen: list[bool] = []

    def cancelled() -> bool:
        seen.append(len(seen) == 1)
        return seen[-1]

    assert rewriter(engine)(TURNS, cancelled) is None
    assert [False, True] == seen
