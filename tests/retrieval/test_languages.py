"""The language of a question, and what a model is told in it."""

from __future__ import annotations

import pytest

from runtime.retrieval.languages import LANGUAGES, OTHER, language_of

QUESTIONS = {
    "en": "When did we buy the red umbrella?",
    "de": "Wann haben wir den roten Schirm gekauft?",
    "fr": "Quand avons-nous acheté le parapluie rouge ?",
    "es": "¿Cuándo compramos el paraguas rojo?",
    "it": "Quando abbiamo comprato l'ombrello rosso?",
    "pt": "Quando é que comprámos o guarda-chuva vermelho?",
    "nl": "Wanneer hebben we de rode paraplu gekocht?",
    "ja": "赤い傘はいつ買いましたか。",
    "zh": "我们什么时候买了红色的雨伞？",
    "ko": "빨간 우산은 언제 샀나요?",
    "ru": "Когда мы купили красный зонт?",
    "uk": "Коли ми купили червону парасольку? Її вже немає.",
}


@pytest.mark.parametrize(("name", "question"), QUESTIONS.items())
def test_questions_tell_their_language(name: str, question: str) -> None:
    assert LANGUAGES[name] is language_of(question)


def test_there_is_a_question_in_each_language() -> None:
    assert list(LANGUAGES) == list(QUESTIONS)


def test_a_name_in_another_script_does_not_make_it_another_language() -> None:
    assert LANGUAGES["en"] is language_of("What does the sign 京都 on the old station mean?")
    assert LANGUAGES["de"] is language_of("Was ist mit dem Buch von Достоевский passiert?")


def test_in_other_languages_the_model_is_told_to_answer_in_them() -> None:
    assert OTHER is language_of("Gdzie kupiliśmy czerwony parasol?")
    assert OTHER is language_of("umbrella 2024")
    assert "in the language of the question" in OTHER.task


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_each_language_says_how_to_cite(language: object) -> None:
    assert "[1]" in language.task  # type: ignore[attr-defined]
    assert "7" in language.page.format(7)  # type: ignore[attr-defined]
