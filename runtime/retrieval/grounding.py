"""Grounding: a question with the numbered passages that it is to be answered from.

Passages are strangers' text. They cannot write turns of a conversation: what the model would read
as a sign of one is broken up. Numbers in brackets of their own are no citations either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.retrieval.citations import Citations, without_own
from runtime.retrieval.finding import follow_up
from runtime.retrieval.languages import Language, language_of
from runtime.retrieval.library import Library
from runtime.retrieval.sources import BETWEEN, Source
from runtime.sanitize import plain
from runtime.search.passages import Passage

SHARE = 2
"""Passages take at most one part in so many of what is free: the rest is for other turns."""
LEAST = 64
"""Tokens that the best passage gets in any case; where there is no room, the engine says so."""
HEAD = 8
"""Tokens of a passage's number, and of what divides it from others."""
ATTEMPTS = 4
"""At breaking up signs; a vocabulary may be made so that what is broken up is another sign."""


Cancelled = Callable[[], bool]
"""Tells whether the answer is not wanted any more."""
Rewrite = Callable[[Sequence[Mapping[str, Any]], Cancelled], "str | None"]
"""Makes the last of several turns a question that stands alone; None if that fails."""


class TokenReader(Protocol):
    """What is needed of a model: how it reads text."""

    def tokenize(self, text: str, *, beginning: bool) -> list[int]: ...

    def signs(self, text: str) -> list[str]:
        """Return the parts of `text` that are read as one token with a meaning of its own."""


@dataclass(frozen=True)
class Grounding:
    """What a question is answered from."""

    question: str
    """As it was looked for, without filters."""
    language: Language
    sources: Sequence[Source]
    """The passages that the model is given; none if nothing was found."""
    text: str
    """What the model is given in place of the question; empty if nothing was found."""

    def citations(self) -> Citations:
        """Return what checks the citations of an answer, which has none yet."""
        return Citations(len(self.sources))


class Grounder:
    """Finds passages for questions, and puts as many before them as there is room for."""

    def __init__(
        self, library: Library, reader: TokenReader, limit: int, rewrite: Rewrite | None = None
    ) -> None:
        """`limit` is the number of passages at most.

        `rewrite` makes the last of several turns a question that stands alone, if the model can.
        """
        self.library = library
        self._reader = reader
        self._limit = limit
        self._rewrite = rewrite

    def ground(
        self,
        turns: Sequence[Mapping[str, Any]],
        free: int,
        cancelled: Cancelled = lambda: False,
    ) -> Grounding:
        """Return the last of the turns, a question, with passages that it can be answered from.

        Without them, so many tokens of the context are free. Raise AppError if they cannot be
        looked for.
        """
        asked, before = str(turns[-1]["content"]), follow_up.turns_of(turns[:-1])
        rewrite = self._rewrite
        finding = self.library.find(
            asked, self._limit, before, (lambda *_: rewrite(turns, cancelled)) if rewrite else None
        )
        language = language_of(asked)
        found = finding.passages if finding.answerable else ()
        chosen = self._chosen(found, language, free // SHARE)
        sources = tuple(Source(number, one) for number, (one, _) in enumerate(chosen, 1))
        if not sources:
            return Grounding(finding.question, language, (), "")
        # The best is the nearest to the question: of what is far away, models make less.
        parts = [
            f"[{source.number}] {_head(source, language)}\n{text}"
            for source, (_, text) in reversed([*zip(sources, chosen, strict=True)])
        ]
        passages = self._harmless("\n\n".join([language.passages, *parts]))
        asked = f"{language.question} {finding.question}"
        text = "\n\n".join([passages, language.task, asked])
        return Grounding(finding.question, language, sources, text)

    def _chosen(
        self, passages: Iterable[Passage], language: Language, room: int
    ) -> list[tuple[Passage, str]]:
        """Return the passages that fit, the best first, each with the text that is given."""
        left = max(room - self._count(language.passages + language.task), LEAST)
        chosen: list[tuple[Passage, str]] = []
        for passage in passages:
            text = without_own(passage.text.replace("\0", "")).strip()
            head = self._count(_head(Source(1, passage), language)) + HEAD
            size = self._count(text)
            if head + size > left:
                if chosen:
                    continue  # a shorter one may still fit
                text, size = self._cut(text, size, max(left - head, LEAST))
            chosen.append((passage, text))
            left -= head + size
        return chosen

    def _cut(self, text: str, size: int, room: int) -> tuple[str, int]:
        """Return the beginning of a text that has so many tokens at most, and their number."""
        while size > room and len(text) > 1:
            text = text[: max(1, len(text) * room // (size + 1))]
            size = self._count(text)
        return text, size

    def _count(self, text: str) -> int:
        return len(self._reader.tokenize(text, beginning=False))

    def _harmless(self, text: str) -> str:
        """Return a text of which nothing is read as the sign of a turn."""
        for _ in range(ATTEMPTS):
            signs = self._reader.signs(text)
            if not signs:
                return text
            for sign in sorted(signs, key=len, reverse=True):
                text = text.replace(sign, f"{sign[0]} {sign[1:]}")
        for sign in self._reader.signs(text):
            text = text.replace(sign, "")
        return text


def _head(source: Source, language: Language) -> str:
    """Return where a passage is from, as the model is told."""
    page = language.page.format(source.page) if source.page else ""
    behind = ", ".join(filter(None, (source.date, page)))
    names = dict.fromkeys(filter(None, (source.title or source.path, source.heading, behind)))
    return without_own(plain(BETWEEN.join(names)))
