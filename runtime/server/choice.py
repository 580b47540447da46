"""One answer in the making: what of it is thought, what is said, and which tools it calls."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runtime.dialogue.reasoning import Markers, ReasoningSplitter
from runtime.inference.stats import Stats
from runtime.inference.token_stream import Piece, SampledToken
from runtime.server.protocols.openai import CalledFunction, CalledTool
from runtime.server.tool_calls import Arguments, Called, Calls, Form, Said

REASONS = {"stop": "stop", "length": "length", "context": "length"}


@dataclass
class News:
    """What came since the last time."""

    content: str = ""
    reasoning: str = ""
    calls: list[CalledTool] = field(default_factory=list)
    chosen: list[SampledToken] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.content or self.reasoning or self.calls or self.chosen)


class Choice:
    """One of the answers to a request."""

    def __init__(
        self, *, markers: Markers | None = None, opening: str = "", form: Form | None = None
    ) -> None:
        """Begin behind `opening`, the end of the prompt: a thought may begin there."""
        self.content = ""
        self.reasoning = ""
        self.calls: list[CalledTool] = []
        self.chosen: list[SampledToken] = []
        self._thoughts = ReasoningSplitter(markers, opening)
        self._calls = Calls(form) if form else None
        self._fresh = True

    def feed(self, pieces: Sequence[Piece], *, last: bool) -> News:
        """Take in pieces; return what is certain by now."""
        news = News()
        text = "".join([piece.text for piece in pieces])
        for piece in pieces:
            news.chosen += piece.chosen
        parts = [*self._thoughts.feed(text)]
        if last:
            parts += self._thoughts.rest()
        for part in parts:
            if part.thought:
                news.reasoning += part.text
            elif self._calls:
                self._sort(self._calls.feed(part.text), news)
            else:
                news.content += part.text
        if last and self._calls:
            self._sort(self._calls.rest(), news)
        if (self.reasoning or news.reasoning) and self._fresh:
            # Between thought and answer models leave empty lines.
            news.content = news.content.lstrip("\n")
        self._fresh = self._fresh and not news.content
        self.content += news.content
        self.reasoning += news.reasoning
        self.chosen += news.chosen
        return news

    def _sort(self, said: Iterable[Said], news: News) -> None:
        for item in said:
            if isinstance(item, Called):
                call = CalledTool(
                    index=len(self.calls),
                    id=f"call_{secrets.token_hex(12)}",
                    type="function",
                    function=CalledFunction(name=item.name),
                )
                # The stream's copy stays as it is, ours collects.
                news.calls.append(call)
                whole = CalledFunction(name=item.name)
                self.calls.append(CalledTool(id=call.id, type="function", function=whole))
            elif isinstance(item, Arguments):
                self.calls[-1].function.arguments += item.text
                part = CalledFunction(arguments=item.text)
                news.calls.append(CalledTool(index=len(self.calls) - 1, function=part))
            else:
                news.content += item

    def finish(self, stats: Stats) -> str:
        """Return why the answer ended, in OpenAI's words."""
        if self.calls and stats.reason == "stop":
            return "tool_calls"
        return REASONS.get(stats.reason, "stop")
