"""Sources in the terminal: where an answer stands in the documents, and what is found there."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from runtime.retrieval.sources import Source
from runtime.sanitize import plain, shown
from runtime.search.passages import Passage
from runtime.units import counted

if TYPE_CHECKING:  # a search needs none of it
    from runtime.dialogue.conversation import Conversation

INDENT = "    "


def lines(conversation: Conversation) -> Iterator[str]:
    """Yield what is said below an answer: where it stands; nothing if it is not from documents."""
    grounding, citations = conversation.grounding, conversation.citations
    if not (grounding and citations and grounding.sources):
        return
    cited = [source for source in grounding.sources if source.number in citations.cited]
    if cited:
        yield "sources:"
    else:
        yield "the answer cites none of the passages that it was to be made from:"
    yield from (plain(source.line) for source in cited or grounding.sources)
    if citations.removed:
        what = counted(citations.removed, "citation")
        yield f"{what} of passages that there are not {_were(citations.removed)} removed"


def whole(sources: Iterable[Source]) -> Iterator[str]:
    """Yield the lines that show passages with their text."""
    for number, source in enumerate(sources):
        if number:
            yield ""
        yield plain(source.line)
        yield textwrap.indent(shown(source.passage.text), INDENT)


def found(passages: Iterable[Passage]) -> Iterator[str]:
    """Yield the lines that show what a search has found."""
    return whole(Source(*one) for one in enumerate(passages, 1))


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
