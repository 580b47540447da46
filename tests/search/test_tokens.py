"""Tokens: what finds what, in scripts with spaces and without."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

from runtime.search import stems
from runtime.search.tokens import LONGEST, tokens

GOLDEN = ROOT / "tests" / "golden" / "tokens.json"


@pytest.mark.parametrize(("text", "expected"), json.loads(GOLDEN.read_text("utf-8")).items())
def test_golden_tokens(text: str, expected: list[str]) -> None:
    assert expected == list(tokens(text))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("京都", "昨日は京都へ行った"),
        ("雨", "雨が降っていた"),
        ("ﾃﾞｰﾀ", "データを見る"),
        ("データ", "ﾃﾞｰﾀを見る"),
        ("が", "が"),
        ("한국", "한국어를 배운다"),
        ("ภาษา", "ฉันเรียนภาษาไทย"),
        ("Mädchen", "ein Maedchen"),
        ("Maedchen", "das Mädchen"),
        ("madchen", "das Mädchen"),
        ("Mädchen", "madchen"),
        ("STRASSE", "die Straße"),
        ("Straße", "strasse"),
        ("cafe", "Café"),
        ("Ångström", "angstrom"),
        ("Ёлка", "елка"),
        ("ΑΘΗΝΑ", "Αθήνα"),
        ("５月", "5月3日"),
        ("2024-05-03", "03.05.2024"),
        ("house", "houses"),
        ("running", "he runs"),
        ("story", "stories"),
        ("Haus", "Häuser"),
        ("Gärten", "Garten"),
        ("Kind", "Kindern"),
        ("Bücher", "ein Buch"),
        ("Versicherung", "Versicherungsnummer"),
        ("हिन्दी", "मैं हिन्दी बोलता"),
        ("word", "snake_word_case"),
    ],
)
def test_a_question_finds_a_text(question: str, text: str) -> None:
    assert set(tokens(question)) & set(tokens(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [("京都", "東京"), ("house", "Haus"), ("bus", "but"), ("が", "か"), ("12", "120"), ("a", "b")],
)
def test_other_words_are_others(one: str, other: str) -> None:
    # 東京 has a sign of 京都, but no pair.
    pairs = set(tokens(one)) - set(one)

    assert not pairs & set(tokens(other))


@given(st.text())
def test_any_text_has_tokens_that_are_short_and_no_spaces(text: str) -> None:
    for token in tokens(text):
        assert 0 < len(token) <= LONGEST
        assert token == "".join(token.split())


@given(st.text())
def test_case_and_the_form_of_signs_make_no_difference(text: str) -> None:
    composed = unicodedata.normalize("NFKC", text)
    again = unicodedata.normalize("NFKC", composed.casefold())

    assert list(tokens(composed)) == list(tokens(text))
    if again == composed.casefold():
        assert list(tokens(again)) == list(tokens(text))


@given(st.from_regex(r"[a-z]{1,30}", fullmatch=True))
def test_a_stem_is_the_beginning_of_its_word(word: str) -> None:
    stem = stems.stem(word)

    assert len(stem) >= min(len(word), stems.LEAST)
    assert word.startswith(stem[:-1])


def test_white_space_and_signs_have_no_tokens() -> None:
    assert [] == list(tokens(" \n\t…–!?*#_・。「」 "))
