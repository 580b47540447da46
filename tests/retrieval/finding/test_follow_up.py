"""Questions that need those before them are told from others, and made ones of their own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from library import LANGUAGES, dialogues, elsewhere, questions

from runtime.retrieval.finding.follow_up import Asked, Turn, asked, is_part, turns_of

BEFORE = [Turn("What is the annual subscription of the boat club?", "£132.")]


@pytest.mark.parametrize(
    "question",
    [
        "And the year before?",
        "Why?",
        "What does it cost?",
        "And into Amos's?",
        "Und 2019?",
        "Warum?",
        "Welche Bücher nimmt sie nicht als Geschenk?",
        "それはいつですか。",
        "なぜ?",
        "では、父は？",
    ],
)
def test_what_points_back_or_is_short_is_a_part(question: str) -> None:
    assert is_part(question)


@pytest.mark.parametrize(
    "question",
    [
        "What did Josiah Ashdell rent in 1788?",
        "Who leads the junior choir in the years of the war?",
        "Wie heißt das Mädchen, mit dem Jutta in der Stadtbücherei vorliest?",
        "脳梗塞のとき父の担当だった先生の名前は何ですか。",
    ],
)
def test_what_names_its_subject_is_whole(question: str) -> None:
    assert not is_part(question)


@pytest.mark.parametrize("language", LANGUAGES)
def test_few_are_taken_for_what_they_are_not(language: str) -> None:
    follow = [is_part(one.question) for one in dialogues() if one.language == language]
    alone = [
        is_part(one.question) for one in [*questions(), *elsewhere()] if one.language == language
    ]

    assert sum(follow) >= 0.6 * len(follow)
    assert sum(alone) <= 0.05 * len(alone)


def test_a_part_is_looked_for_with_the_question_before() -> None:
    first = Turn("Who rows?", "Saoirse.")

    assert Asked("And in 2018?", BEFORE[0].question) == asked("And in 2018?", [first, *BEFORE])


def test_a_whole_question_needs_none_before() -> None:
    def rewrite(turns: Sequence[Turn], question: str) -> str:
        raise AssertionError("a model was asked in vain")

    whole = "What did Josiah Ashdell rent in 1788?"
    assert Asked(whole) == asked(whole, BEFORE, rewrite) == asked(whole, [])
    assert Asked("Why?") == asked("Why?", [], rewrite)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            " “What was the subscription in 2018?”\nIt was £96.",
            "What was the subscription in 2018?",
        ),
        ("「会費はいくらでしたか」", "会費はいくらでしたか"),
    ],
)
def test_a_model_writes_the_whole_question(written: str, expected: str) -> None:
    seen: list[object] = []

    def rewrite(turns: Sequence[Turn], question: str) -> str:
        seen.extend([*turns, question])
        return written

    assert Asked(expected) == asked("And in 2018?", BEFORE, rewrite)
    assert [*BEFORE, "And in 2018?"] == seen


@pytest.mark.parametrize("written", [None, "", " \n", "word " * 100])
def test_what_a_model_writes_in_vain_is_not_used(written: str | None) -> None:
    found = asked("And in 2018?", BEFORE, lambda turns, question: written)

    assert Asked("And in 2018?", BEFORE[0].question) == found


def test_messages_are_turns() -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Who rows?"},
        {"role": "assistant", "content": "Saoirse."},
        {"role": "user", "content": [{"type": "image_url"}]},
        {"role": "user", "content": "Why?"},
    ]

    assert [Turn("Who rows?", "Saoirse."), Turn("Why?")] == turns_of(messages)
