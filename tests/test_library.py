"""The fixture of documents and questions is what its README says."""

from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from library import (
    DOCUMENTS,
    KINDS,
    LANGUAGES,
    LIBRARY,
    Dialogue,
    Question,
    dialogues,
    documents,
    elsewhere,
    questions,
    text,
)

QUESTIONS = questions()
TEXTS = {f"documents/{path.relative_to(DOCUMENTS)}": text(path) for path in documents()}
LENGTHS = {"en": (1500, 4000), "de": (1500, 4000), "ja": (700, 1800)}  # in characters
BYTES = 600_000

# Words that say nothing about a subject. Those of three letters and fewer never count.
EMPTY = set(
    """
    about above after again against also already always another anybody because been before
    being below between both come could does done down during each even ever every from have
    here into itself just like made make many more most much must never nobody none only other
    over same shall should some such than that their them then there these they this those
    through under until very were what when where which while whom whose will with without would
    your

    aber alle allem allen aller alles also auch beim dabei damit danach dann darf dass dein
    deine dem denn deren dessen diese diesem diesen dieser dieses doch dort durch eine einem
    einen einer eines etwas fast ganz gegen gibt habe haben hatte hinter ihnen ihre ihrem ihren
    ihrer immer jede jedem jeden jeder kann kein keine keinen keiner kommt lang manche mehr mein
    meine mich mit muss nach nicht nichts noch nur oder ohne sehr sein seine seinem seinen
    seiner selbst sich sind sonst über unter viel viele wann warum welche welchem welchen
    welcher welches wenn werden wessen weshalb wird wodurch woran wurde zwischen
    """.split()
)


def content(words: str, language: str) -> set[str]:
    """Return what a search by words could find: beginnings of words, or telling characters."""
    if language == "ja":
        kanji = set(re.findall(r"[一-鿿々]", words)) - set("一二三四五六七八九十百何人中")
        return kanji | set(re.findall(r"[ァ-ヶー]{2,}", words))
    found = re.findall(r"[^\W\d_]{4,}", words.casefold())
    return {word[:5] for word in found if word not in EMPTY}


def test_there_are_documents_of_each_language_and_format() -> None:
    languages = Counter(Path(path).parts[1] for path in TEXTS)
    formats = Counter(Path(path).suffix for path in TEXTS)

    assert set(LANGUAGES) == set(languages)
    assert all(languages[language] >= 21 for language in LANGUAGES)
    assert {".md", ".txt", ".html"} == set(formats)
    assert formats[".md"] >= 40 and formats[".txt"] >= 12 and formats[".html"] >= 6


def test_the_library_stays_small() -> None:
    assert sum(path.stat().st_size for path in LIBRARY.rglob("*") if path.is_file()) < BYTES


@pytest.mark.parametrize("path", TEXTS)
def test_a_document_is_as_long_as_such_documents_are(path: str) -> None:
    least, most = LENGTHS[Path(path).parts[1]]

    assert least <= len(TEXTS[path]) <= most


@pytest.mark.parametrize("path", [path for path in TEXTS if path.endswith(".md")])
def test_markdown_begins_with_what_it_is(path: str) -> None:
    pattern = r"---\ntitle: \S.*\ndate: (19|20)\d\d-\d\d-\d\d\nkind: [a-z]+\n---\n\n# \S"

    assert re.match(pattern, TEXTS[path])


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("en/boat-club-rules-2018.md", "en/boat-club-rules-2024.md"),
        ("de/satzung-abendfrieden-2019.md", "de/satzung-abendfrieden-2023.md"),
        ("ja/jichikai-kaisoku-2017.md", "ja/jichikai-kaisoku-2023.md"),
    ],
)
def test_two_versions_of_a_text_are_nearly_the_same(older: str, newer: str) -> None:
    lines = [TEXTS[f"documents/{path}"].splitlines() for path in (older, newer)]
    alike = SequenceMatcher(None, *("\n".join(part[6:]) for part in lines), autojunk=False).ratio()

    assert 0.75 < alike < 1


def test_there_are_questions_of_each_language_and_kind() -> None:
    languages = Counter(question.language for question in QUESTIONS)
    kinds = Counter(question.kind for question in QUESTIONS)

    assert set(LANGUAGES) == set(languages) and set(KINDS) == set(kinds)
    assert len(QUESTIONS) >= 210 and all(languages[language] >= 70 for language in LANGUAGES)
    assert kinds["unanswerable"] >= 24 and kinds["paraphrase"] >= 40 and kinds["cross"] <= 15
    for language in LANGUAGES:
        assert set(KINDS) == {one.kind for one in QUESTIONS if one.language == language}


def test_every_question_is_there_once() -> None:
    assert len({question.id for question in QUESTIONS}) == len(QUESTIONS)
    assert len({question.question for question in QUESTIONS}) == len(QUESTIONS)


def test_every_document_answers_something() -> None:
    assert set(TEXTS) == {passage.path for question in QUESTIONS for passage in question.passages}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_the_passages_of_a_question_stand_where_it_says(question: Question) -> None:
    counts = {"unanswerable": 0, "two": 2}

    assert question.question and question.answer
    assert counts.get(question.kind, 1) == len(question.passages)
    assert len({passage.path for passage in question.passages}) == len(question.passages)
    for passage in question.passages:
        assert 20 <= len(passage.text) <= 200 and "\n" not in passage.text
        assert passage.text in TEXTS[passage.path]
        assert (question.language != passage.language) == (question.kind == "cross")


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_a_passage_tells_one_place(question: Question) -> None:
    for passage in question.passages:
        assert [passage.path] == [path for path, words in TEXTS.items() if passage.text in words]
        assert 1 == TEXTS[passage.path].count(passage.text)


@pytest.mark.parametrize(
    "question", [one for one in QUESTIONS if one.kind == "paraphrase"], ids=lambda one: one.id
)
def test_a_paraphrase_says_it_in_other_words(question: Question) -> None:
    asked = content(question.question, question.language)
    told = set().union(*(content(one.text, question.language) for one in question.passages))

    assert asked and told
    assert len(asked & told) <= 1, asked & told


def test_there_are_dialogues_and_questions_for_elsewhere_of_each_language() -> None:
    for many, least in ((dialogues(), 10), (elsewhere(), 15)):
        counts = Counter(one.language for one in many)
        assert set(LANGUAGES) == set(counts) and min(counts.values()) >= least
        assert len({one.id for one in many}) == len(many)


@pytest.mark.parametrize("dialogue", dialogues(), ids=lambda dialogue: dialogue.id)
def test_a_follow_up_has_what_it_follows_and_is_answered(dialogue: Dialogue) -> None:
    asked = {question.question for question in QUESTIONS}

    assert dialogue.before and dialogue.question not in asked
    assert all(turn.question in asked and turn.answer for turn in dialogue.before)
    assert [passage.text in TEXTS[passage.path] for passage in dialogue.passages] == [True]
