"""Parts of a chat answer as it streams: reasoning, content and tool calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from runtime.chat_format.answer_reader import AnswerReader, CallDelta
from runtime.inference.stats import Stats
from runtime.inference.token_stream import Piece, SampledToken
from runtime.server.protocols.openai_types import CalledFunction, CalledTool
from runtime.server.protocols.streaming import finish_reason, text_of

if TYPE_CHECKING:  # most programs have no documents
    from runtime.retrieval.citations import Citations


@dataclass
class NewParts:
    """What is new since the last call."""

    content: str = ""
    reasoning: str = ""
    calls: list[CalledTool] = field(default_factory=list)
    chosen: list[SampledToken] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.content or self.reasoning or self.calls or self.chosen)


class AnswerParts:
    """One answer of a request, divided into its parts."""

    def __init__(self, reader: AnswerReader, citations: Citations | None = None) -> None:
        """With `citations`, those in the content that point nowhere are left out."""
        self.citations = citations
        self.content = ""
        self.reasoning = ""
        self.calls: list[CalledTool] = []
        self.chosen: list[SampledToken] = []
        self._reader = reader

    def feed(self, pieces: Sequence[Piece], stats: Stats, *, last: bool) -> NewParts:
        """Take in pieces; return what is final. `stats` are those of the answer so far."""
        cut = last and finish_reason(stats) == "length"
        delta = self._reader.feed(text_of(pieces), last=last, cut=cut)
        if self.citations:
            delta.content = self.citations.feed(delta.content, last=last)
        new = NewParts(delta.content, delta.reasoning, [self._call(call) for call in delta.calls])
        for piece in pieces:
            new.chosen += piece.chosen
        self.content += new.content
        self.reasoning += new.reasoning
        self.chosen += new.chosen
        return new

    def _call(self, delta: CallDelta) -> CalledTool:
        """Return what is new of a call, for a stream; add it to the whole call."""
        if delta.index < len(self.calls):
            self.calls[delta.index].function.arguments += delta.arguments
            part = CalledFunction(arguments=delta.arguments)
            return CalledTool(index=delta.index, function=part)
        # The stream's copy stays as it is, ours collects.
        self.calls.append(_called(delta))
        return _called(delta, index=delta.index)

    @property
    def called(self) -> list[tuple[str, str]]:
        """Return the names of the tools that were called, and the arguments."""
        return [(call.function.name or "", call.function.arguments) for call in self.calls]

    def finish_reason(self, stats: Stats) -> str:
        """Return OpenAI's `finish_reason`."""
        if self.calls and stats.reason == "stop":
            return "tool_calls"
        return finish_reason(stats)


def _called(delta: CallDelta, index: int | UnsetType = UNSET) -> CalledTool:
    function = CalledFunction(name=delta.name, arguments=delta.arguments)
    return CalledTool(index=index, id=delta.id, type="function", function=function)
