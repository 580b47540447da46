"""Parts of a chat answer as it streams: reasoning, content and tool calls."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runtime.chat_format.reasoning import Markers, ReasoningSplitter
from runtime.chat_format.tool_calls import CallArguments, CallFormat, CallParser, CallStart, Parsed
from runtime.inference.stats import Stats
from runtime.inference.token_stream import Piece, SampledToken
from runtime.server.protocols.openai_types import CalledFunction, CalledTool
from runtime.server.protocols.streaming import finish_reason, text_of


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

    def __init__(
        self,
        *,
        markers: Markers | None = None,
        prompt_end: str = "",
        call_format: CallFormat | None = None,
    ) -> None:
        """`prompt_end` is the end of the prompt: the template may begin the reasoning there."""
        self.content = ""
        self.reasoning = ""
        self.calls: list[CalledTool] = []
        self.chosen: list[SampledToken] = []
        self._thoughts = ReasoningSplitter(markers, prompt_end)
        self._calls = CallParser(call_format) if call_format else None
        self._fresh = True

    def feed(self, pieces: Sequence[Piece], *, last: bool) -> NewParts:
        """Take in pieces; return what is final."""
        new = NewParts()
        text = text_of(pieces)
        for piece in pieces:
            new.chosen += piece.chosen
        parts = [*self._thoughts.feed(text)]
        if last:
            parts += self._thoughts.rest()
        for part in parts:
            if part.thought:
                new.reasoning += part.text
            elif self._calls:
                self._sort(self._calls.feed(part.text), new)
            else:
                new.content += part.text
        if last and self._calls:
            self._sort(self._calls.rest(), new)
        if (self.reasoning or new.reasoning) and self._fresh:
            # Between thought and answer models leave empty lines.
            new.content = new.content.lstrip("\n")
        self._fresh = self._fresh and not new.content
        self.content += new.content
        self.reasoning += new.reasoning
        self.chosen += new.chosen
        return new

    def _sort(self, said: Iterable[Parsed], new: NewParts) -> None:
        for item in said:
            if isinstance(item, CallStart):
                call = CalledTool(
                    index=len(self.calls),
                    id=f"call_{secrets.token_hex(12)}",
                    type="function",
                    function=CalledFunction(name=item.name),
                )
                # The stream's copy stays as it is, ours collects.
                new.calls.append(call)
                whole = CalledFunction(name=item.name)
                self.calls.append(CalledTool(id=call.id, type="function", function=whole))
            elif isinstance(item, CallArguments):
                self.calls[-1].function.arguments += item.text
                part = CalledFunction(arguments=item.text)
                new.calls.append(CalledTool(index=len(self.calls) - 1, function=part))
            else:
                new.content += item

    def finish_reason(self, stats: Stats) -> str:
        """Return OpenAI's `finish_reason`."""
        if self.calls and stats.reason == "stop":
            return "tool_calls"
        return finish_reason(stats)
