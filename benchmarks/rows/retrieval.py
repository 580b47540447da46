"""Retrieval: how well answers are found in 84 documents, against FAISS over the same vectors."""

from __future__ import annotations

import os
import statistics
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks import embedders, faiss_flat
from benchmarks.found import Place, place, quality, recall
from benchmarks.lab import Lab
from benchmarks.report import Row
from runtime.container.text_form import TextForm
from runtime.documents.chunking import Chunking
from runtime.model import engine_build, model_file
from runtime.options.registry import Options
from runtime.retrieval import indexing
from runtime.retrieval.embedding import LocalEmbedder
from runtime.retrieval.finding.follow_up import Turn
from runtime.retrieval.library import CANDIDATES, PASSAGES, Library
from runtime.search.content import Hit
from runtime.search.index import Index
from runtime.search.passages import Passage, passages
from tests.support.library import DOCUMENTS, LANGUAGES, Question, dialogues, elsewhere, questions
from tests.support.library import Passage as Excerpt

SHOWN, FIRST = 10, 5
"""Passages that a gain is computed from, and a recall."""
BETTER = 5
"""Points of recall to be won over FAISS."""
MORE = 0.1
"""Points: more than by words or by vectors alone, however little."""
KEPT = 20
"""Passages of which the engine's state might be kept in the file."""
OVERHEAD = 1.1
"""Of the embedder's own time, for an index with all that is read and written."""
REFUSED = 5
"""Percent of the questions with an answer that may be taken for such without."""

Way = Callable[[str], Sequence[Place]]


@dataclass(frozen=True)
class Model:
    """An embedding model of benchmarks/embedders.py."""

    name: str
    title: str
    form: TextForm
    languages: Sequence[str]


MODELS = (
    Model("minilm", "MiniLM", TextForm("mean"), ("en",)),
    Model("e5", "E5", TextForm("mean", "query: ", "passage: "), LANGUAGES),
)


class Remembering:
    """An embedder that computes each vector once, however often it is asked."""

    def __init__(self, embedder: LocalEmbedder) -> None:
        self._embedder = embedder
        self._known: dict[str, Sequence[float]] = {}
        self.dimensions, self.identity = embedder.dimensions, embedder.identity
        self.matrix: list[Sequence[float]] = []
        """The vectors of all passages, in order."""
        self.seconds = 0.0
        """What these took."""

    def query(self, text: str) -> Sequence[float]:
        """Return the vector of a question."""
        if text not in self._known:
            self._known[text] = self._embedder.query(_composed(text))
        return self._known[text]

    def passages(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """Return the vectors of texts."""
        texts = [_composed(text) for text in texts]
        begin = time.perf_counter()
        found = self._embedder.passages(texts)
        self.seconds += time.perf_counter() - begin
        self.matrix += found
        return found


def _composed(text: str) -> str:
    """Return a text as E5 reads it: its package has no table of signs that GGUF could hold."""
    return unicodedata.normalize("NFKC", text)


@dataclass
class Trial:
    """The documents, indexed with the vectors of a model or none, and questions about them."""

    name: str
    languages: Sequence[str]
    index: Index
    embedder: Remembering | None
    texts: Mapping[str, str]
    """Those of the documents, by path."""
    library: Library = field(init=False)

    def __post_init__(self) -> None:
        self.library = Library(self.index, self.embedder)

    def questions(self, language: str) -> list[Question]:
        """Return those that nothing was tuned on: with an even number."""
        found = [one for one in questions() if one.language == language]
        return [one for one in found if int(one.id.rpartition("-")[2]) % 2 == 0]

    def wanted(self, found: Sequence[Excerpt]) -> list[Place]:
        """Return where excerpts stand in what was read."""
        names = [one.path.removeprefix("documents/") for one in found]
        return [place(n, self.texts[n], one.text) for n, one in zip(names, found, strict=True)]

    def placed(self, found: Sequence[Passage]) -> list[Place]:
        """Return where passages stand."""
        return [Place(one.document.path, one.begin, one.end) for one in found]

    def placed_piece(self, number: int) -> Place:
        """Return where a piece stands."""
        piece = self.index.piece(number)
        return Place(self.index.document(piece.document).path, piece.begin, piece.end)

    def pieces(self, hits: Sequence[Hit]) -> list[Place]:
        """Return the places of the passages that hits make."""
        return self.placed(passages(self.index, hits, SHOWN))


def measure(lab: Lab) -> list[Row]:
    """Ask everything of indexes with the vectors of each model, and of one without."""
    reading = indexing.read_folder(DOCUMENTS, Chunking())  # from the page cache from now on
    texts = {document.path: document.text for document, _ in reading.documents}
    engine_build.start_engine(Options())
    rows: list[Row] = []
    for model in MODELS:
        source = model_file.open_file(embedders.embedder(model.name))
        local = LocalEmbedder(source, model.form, Options(threads=lab.threads))
        embedder = Remembering(local)
        begin = time.perf_counter()
        index = _index(lab, indexing.read_folder(DOCUMENTS, Chunking()), embedder)
        took = time.perf_counter() - begin
        what = f"read, cut and index {len(index)} pieces: {model.title}"
        rows.append(Row(what, "s", (took,), (embedder.seconds,), "its vectors alone", OVERHEAD))
        trial = Trial(model.title, model.languages, index, embedder, texts)
        for language in model.languages:
            rows += _compared(trial, embedder, language)
        rows += [*_refused(trial), *_followed(trial), _begun(trial)]
        local.close()
    words = Trial("no embedder", LANGUAGES, _index(lab, reading, None), None, texts)
    return [*rows, *_refused(words), *_followed(words)]


def _index(lab: Lab, reading: indexing.Reading, embedder: Remembering | None) -> Index:
    path = lab.work / f"documents-{embedder.dimensions if embedder else 0}"
    made = indexing.indexed(reading, embedder).finish()
    with path.open("wb") as file:
        file.writelines(made.chunks())
    return Index(os.open(path, os.O_RDONLY), 0, made.size)


def _compared(trial: Trial, embedder: Remembering, language: str) -> list[Row]:
    """Hold what is found against each ranking alone, and against FAISS."""
    many = [one for one in trial.questions(language) if one.passages]
    wanted = {one.id: trial.wanted(one.passages) for one in many}
    asked = np.array([embedder.query(one.question) for one in many], np.float32)
    near = faiss_flat.nearest(np.array(embedder.matrix, np.float32), asked, SHOWN)
    flat = {
        one.id: [trial.placed_piece(int(number)) for number in numbers]
        for one, numbers in zip(many, near, strict=True)
    }
    ours = trial.library
    index = trial.index
    ways: dict[str, Way] = {
        "ours": lambda asked: trial.placed(ours.find(asked, SHOWN).passages),
        "words": lambda asked: trial.pieces(index.keywords(asked, CANDIDATES)),
        "vectors": lambda asked: trial.pieces(index.nearest(embedder.query(asked), CANDIDATES)),
    }
    found = {name: {one.id: way(one.question) for one in many} for name, way in ways.items()}
    figures = {name: quality(wanted, places) for name, places in found.items()}
    figures["faiss"] = quality(wanted, flat)
    shown = ", ".join(
        f"{name} {100 * each.recall:.1f} / {100 * each.gain:.1f}" for name, each in figures.items()
    )
    sizes = [_characters(found["ours"].values()), _characters(flat.values())]
    what = f"{trial.name}, {language}, {len(many)} questions"
    best = figures.pop("ours")
    flat_recall = figures.pop("faiss").recall
    return [
        Row(
            f"recall@{FIRST} over FAISS's: {what}", "points",
            (100 * (best.recall - flat_recall),), target=BETTER, at_least=True,
            note=f"recall@{FIRST} / nDCG@{SHOWN}: {shown}; characters of the first {FIRST}: "
            f"{sizes[0]:.0f}, FAISS's {sizes[1]:.0f}",
        ),
        Row(
            f"recall@{FIRST} over words or vectors alone: {what}", "points",
            (100 * (best.recall - max(each.recall for each in figures.values())),),
            target=MORE, at_least=True,
        ),
        Row(
            f"nDCG@{SHOWN} over words or vectors alone: {what}", "points",
            (100 * (best.gain - max(each.gain for each in figures.values())),),
            target=MORE, at_least=True,
        ),
    ]  # fmt: skip


def _characters(found: Iterable[Sequence[Place]]) -> float:
    """Return how long what comes first is altogether, on average."""
    return statistics.mean(sum(one.end - one.begin for one in each[:FIRST]) for each in found)


def _refused(trial: Trial) -> list[Row]:
    """Ask what the documents answer, what they almost do, and what they are not about."""
    rows = []
    for language in trial.languages:
        near = trial.questions(language)
        answered = [one.question for one in near if one.passages]
        almost = [one.question for one in near if not one.passages]
        other = [one.question for one in elsewhere() if one.language == language]
        shares = [
            100 * statistics.mean(not trial.library.find(one).answerable for one in asked)
            for asked in (answered, almost, other)
        ]
        rows.append(
            Row(
                f"answerable, taken for not: {trial.name}, {language}", "%", (shares[0],),
                target=REFUSED,
                note=f"of what no document is about {shares[2]:.0f} % are refused, of what is "
                f"only close to what is there {shares[1]:.0f} %",
            )
        )  # fmt: skip
    return rows


def _followed(trial: Trial) -> list[Row]:
    """Ask what only makes sense after other questions, with those and without."""
    rows = []
    for language in trial.languages:
        many = [one for one in dialogues() if one.language == language]
        recalls: dict[bool, float] = {}
        for remembered in (True, False):
            each = []
            for one in many:
                before = [Turn(turn.question, turn.answer) for turn in one.before]
                found = trial.library.find(one.question, FIRST, before if remembered else ())
                each.append(recall(trial.wanted(one.passages), trial.placed(found.passages)))
            recalls[remembered] = 100 * statistics.mean(each)
        rows.append(
            Row(
                f"recall@{FIRST} of {len(many)} follow-ups: {trial.name}, {language}", "%",
                (recalls[True],), note=f"without what was asked before {recalls[False]:.0f} %",
            )
        )  # fmt: skip
    return rows


def _begun(trial: Trial) -> Row:
    """Count the prompts that begin with one of few passages: those whose state could be kept.

    A state holds for what stands at the beginning alone, and there the last of the passages is.
    """
    asked = [one.question for language in trial.languages for one in trial.questions(language)]
    found = [trial.library.find(one, PASSAGES).passages for one in asked]
    begins = Counter(trial.placed(each[-1:])[0] for each in found if each)
    often = sum(count for _, count in begins.most_common(KEPT))
    what = f"prompts that begin with one of the {KEPT} passages that most do: {trial.name}"
    return Row(what, "%", (100 * often / sum(begins.values()),), note=f"{len(begins)} different")
