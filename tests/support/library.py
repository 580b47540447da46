"""Documents that a person might keep, and questions that they answer: `tests/fixtures/library`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "fixtures" / "library"
DOCUMENTS = LIBRARY / "documents"
LANGUAGES = ("en", "de", "ja")
KINDS = "plain paraphrase number date negation two unanswerable cross".split()


@dataclass(frozen=True)
class Passage:
    """Where an answer stands."""

    path: str
    text: str

    @property
    def language(self) -> str:
        """The language of the document: its folder."""
        return Path(self.path).parts[1]


@dataclass(frozen=True)
class Question:
    """A question with all passages that its answer needs, none if there is no answer."""

    id: str
    language: str
    kind: str
    question: str
    answer: str
    passages: tuple[Passage, ...]

    @classmethod
    def parse(cls, line: str) -> Question:
        """Return the question of a line of `questions.jsonl`."""
        fields = json.loads(line)
        passages = tuple(Passage(**passage) for passage in fields.pop("passages"))
        return cls(**fields, passages=passages)


@dataclass(frozen=True)
class Turn:
    """A question that was asked before, and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Dialogue:
    """A question that needs those `before` it to be understood."""

    id: str
    language: str
    before: tuple[Turn, ...]
    question: str
    answer: str
    passages: tuple[Passage, ...]

    @classmethod
    def parse(cls, line: str) -> Dialogue:
        """Return the dialogue of a line of `dialogues.jsonl`."""
        fields = json.loads(line)
        before = tuple(Turn(**turn) for turn in fields.pop("before"))
        passages = tuple(Passage(**passage) for passage in fields.pop("passages"))
        return cls(**fields, before=before, passages=passages)


@dataclass(frozen=True)
class Elsewhere:
    """A question that no document is about."""

    id: str
    language: str
    question: str


class _Texts(HTMLParser):
    """Collects what a reader of the page sees."""

    UNSEEN = ("script", "style", "title")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.unseen += tag in self.UNSEEN

    def handle_endtag(self, tag: str) -> None:
        self.unseen -= tag in self.UNSEEN

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.texts.append(data)


def questions() -> list[Question]:
    """Return all questions, in the order of the file."""
    return [Question.parse(line) for line in _lines("questions.jsonl")]


def dialogues() -> list[Dialogue]:
    """Return all dialogues."""
    return [Dialogue.parse(line) for line in _lines("dialogues.jsonl")]


def elsewhere() -> list[Elsewhere]:
    """Return the questions whose answers are elsewhere."""
    return [Elsewhere(**json.loads(line)) for line in _lines("elsewhere.jsonl")]


def _lines(name: str) -> list[str]:
    return (LIBRARY / name).read_text(encoding="utf-8").splitlines()


def documents() -> list[Path]:
    """Return all documents, sorted."""
    return sorted(path for path in DOCUMENTS.rglob("*") if path.is_file())


def text(path: Path) -> str:
    """Return a document's text, or what a page shows with its whitespace collapsed."""
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".html":
        return content
    parser = _Texts()
    parser.feed(content)
    parser.close()
    return " ".join("".join(parser.texts).split())
