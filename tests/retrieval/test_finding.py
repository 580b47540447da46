"""What a library finds, with and without models, and after other questions."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from indexes import Cut, Lasting, Paper, opened

from runtime.errors import UsageError
from runtime.retrieval.finding.chance import Watch
from runtime.retrieval.finding.follow_up import Turn
from runtime.retrieval.library import Library
from runtime.search.writer import Writer

PAPERS = (
    Paper("rules/2018.md", "The annual subscription is £96 for adults.", date="2018-03-10"),
    Paper("rules/2024.md", "The annual subscription is £132 for adults.", date="2024-03-16"),
    Paper("van.md", "Mabel takes seven litres of oil.\nThe gas certificate is good until May."),
    Paper("dog.md", "Bracken died this afternoon under the kitchen table."),
    *(Paper(f"notes/{number}.md", f"Nothing of note on day {number}.") for number in range(40)),
)
MEANINGS = {"passed away": 4}
"""Words of a question, and the piece whose meaning they have."""


class Embedder:
    """Has a direction of its own for each piece."""

    dimensions, identity = 64, "directions"

    def __init__(self) -> None:
        chance = random.Random(1)
        self.directions = [self._unit(chance) for _ in range(100)]
        self.other = self._unit(chance)
        self.probes = [self._unit(chance) for _ in range(9)]
        self.asked: list[str] = []

    def _unit(self, chance: random.Random) -> list[float]:
        vector = [chance.gauss(0, 1) for _ in range(self.dimensions)]
        length = math.sqrt(sum(number * number for number in vector))
        return [number / length for number in vector]

    def query(self, text: str) -> Sequence[float]:
        self.asked.append(text)
        for words, piece in MEANINGS.items():
            if words in text:
                return self.directions[piece]
        return self.other

    def passages(self, texts: Sequence[str]) -> list[Sequence[float]]:
        return [self.directions[number] for number, _ in enumerate(texts)]


class Ranker:
    """Likes what is short."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        return [-float(len(text)) for text in texts]


def library(embedder: Embedder | None = None, ranker: Ranker | None = None) -> Library:
    writer = Writer(embedder.dimensions, None, Watch(embedder.probes)) if embedder else Writer()
    number = 0
    for paper in PAPERS:
        pieces, begin = [], 0
        for line in paper.text.split("\n"):
            pieces.append(Cut(begin, begin + len(line), date=paper.date))
            begin += len(line) + 1
        rows = embedder.directions[number : number + len(pieces)] if embedder else []
        writer.add(paper, pieces, rows)
        number += len(pieces)
    data = b"".join(writer.finish().chunks())
    index = opened(data)
    assert isinstance(index, Lasting)
    return Library(index, embedder, ranker)


def paths(found: Library, question: str, *before: Turn) -> list[str]:
    return [passage.document.path for passage in found.find(question, 2, before).passages]


def test_words_alone_find_what_has_them() -> None:
    finding = library().find("Which oil does Mabel take?")

    assert "van.md" == finding.passages[0].document.path
    assert finding.answerable


def test_meaning_finds_what_has_other_words() -> None:
    found = library(Embedder())

    assert "dog.md" in paths(found, "When has the old dog passed away?")
    assert found.find("When has the old dog passed away?").answerable


@pytest.mark.parametrize("embedder", [None, Embedder()], ids=["words", "vectors"])
def test_what_nothing_is_about_is_not_answerable(embedder: Embedder | None) -> None:
    finding = library(embedder).find("Who won a football cup in Brazil?")

    assert not finding.answerable


def test_nothing_found_is_not_answerable() -> None:
    assert not library().find("Quetzalcoatl?").answerable


def test_a_single_word_that_is_there_is_answerable() -> None:
    assert library().find("Mabel").answerable


def test_filters_hold_for_all_that_is_found() -> None:
    embedder = Embedder()
    finding = library(embedder).find("annual subscription path:2018")

    assert ["rules/2018.md"] == [one.document.path for one in finding.passages]
    assert "annual subscription" == finding.question
    assert ["annual subscription"] == embedder.asked
    with pytest.raises(UsageError, match="after:soon"):
        library().find("subscription after:soon")


def test_a_follow_up_is_found_by_what_was_asked_before() -> None:
    before = Turn("What is the annual subscription under the rules of 2024?", "£132")

    assert "rules/2018.md" in paths(library(), "And in 2018?", before)
    assert "rules/2018.md" in paths(library(Embedder()), "And in 2018?", before)


def test_a_follow_up_that_a_model_wrote_anew_is_looked_for() -> None:
    finding = library().find(
        "And in 2018?",
        1,
        [Turn("What is the subscription?")],
        lambda turns, question: "What was the annual subscription under the rules of 2018?",
    )

    assert "What was the annual subscription under the rules of 2018?" == finding.question
    assert "rules/2018.md" == finding.passages[0].document.path


def test_a_ranker_reads_more_than_is_shown() -> None:
    found = library(ranker=Ranker()).find("Nothing of note on the annual subscription", 3)
    lengths = [len(passage.text) for passage in found.passages]

    assert 3 == len(lengths)
    assert [len("Nothing of note on day 0.")] * 3 == lengths


def test_in_a_few_pages_anything_found_may_be_the_answer() -> None:
    writer = Writer()
    for paper in PAPERS[:4]:
        writer.add(paper, [Cut(0, len(paper.text))])
    few = Library(opened(b"".join(writer.finish().chunks())))

    assert few.find("Who at all could ever say when the certificate runs out again?").answerable
    assert not few.find("Quetzalcoatl?").answerable
