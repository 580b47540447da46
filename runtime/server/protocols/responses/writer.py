"""Items of a response as they are written, and the events that tell of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec import UNSET

from runtime.chat_format import carried_reasoning
from runtime.inference.token_stream import SampledToken
from runtime.server.protocols.answer_parts import NewParts
from runtime.server.protocols.openai_types import CalledTool, TokenLogprob
from runtime.server.protocols.responses import events
from runtime.server.protocols.responses.events import Event
from runtime.server.protocols.responses.response import (
    CustomCallItem,
    FunctionCallItem,
    OutputItem,
    OutputMessage,
    OutputText,
    ReasoningItem,
    ReasoningText,
    Status,
    SummaryText,
    new_id,
)
from runtime.server.protocols.responses.tools import ToolBox

Made = TypeVar("Made", bound=Event)


@dataclass(frozen=True)
class Telling:
    """What is told of an answer beside its text and calls."""

    box: ToolBox
    """The tools that it may call."""
    summary: bool = False
    """Whether reasoning is given as its summary, too: nothing here makes a shorter one."""
    carries_reasoning: bool = False
    """Whether the client keeps the reasoning without reading it."""
    logprobs: Callable[[Sequence[SampledToken]], list[TokenLogprob]] = lambda chosen: []
    """Returns what is told of tokens, if that was asked for."""


class OutputWriter:
    """Writes the items of one answer."""

    def __init__(self, telling: Telling) -> None:
        self.items: list[OutputItem] = []
        self._telling = telling
        self._open: OutputItem | None = None
        """The last of the items, as long as there may be more of it."""
        self._number = 0
        self._logprobs: list[TokenLogprob] = []
        """Of tokens whose text is still held back."""

    def event(self, kind: Callable[..., Made], **fields: Any) -> Made:
        """Return the next event."""
        made = kind(sequence_number=self._number, **fields)
        self._number += 1
        return made

    def write(self, new: NewParts) -> list[Event]:
        """Write what is new of the answer."""
        out: list[Event] = []
        if new.chosen:
            self._logprobs += self._telling.logprobs(new.chosen)
        if new.reasoning:
            out += self._reason(new.reasoning)
        if new.content:
            out += self._say(new.content, self._logprobs)
        for call in new.calls:
            out += self._go_on_calling(call)
        if new.reasoning or new.content or new.calls:
            self._logprobs = []
        return out

    def close(self, status: Status = "completed") -> list[Event]:
        """End the last item; there may be others."""
        item, self._open = self._open, None
        if item is None:
            return []
        out: list[Event] = []
        if isinstance(item, ReasoningItem):
            out = self._reasoning_done(item)
        elif isinstance(item, OutputMessage):
            part = item.content[0]
            done = {"content_index": 0, "text": part.text, "logprobs": part.logprobs}
            out = [
                self._in(item, events.TextDone, **done),
                self._in(item, events.PartDone, content_index=0, part=part),
            ]
        elif isinstance(item, CustomCallItem):
            item.input = self._telling.box.input_of(item.input)
            out = [
                self._in(item, events.InputDelta, delta=item.input),
                self._in(item, events.InputDone, input=item.input),
            ]
        else:
            if not item.arguments.strip():
                item.arguments = "{}"
                out.append(self._in(item, events.ArgumentsDelta, delta="{}"))
            done = {"name": item.name, "arguments": item.arguments}
            out.append(self._in(item, events.ArgumentsDone, **done))
        item.status = status
        out.append(self.event(events.ItemDone, output_index=len(self.items) - 1, item=item))
        return out

    def _reason(self, text: str) -> list[Event]:
        out: list[Event] = []
        item = self._open
        if not isinstance(item, ReasoningItem):
            # What is told in an event stays as it is; the item grows.
            item, told = (ReasoningItem(id=i, status="in_progress") for i in _twice("rs"))
            out = self._begin(item, told)
            item.content.append(ReasoningText())
            added = self._in(item, events.PartAdded, content_index=0, part=ReasoningText())
            out.append(added)
            if self._telling.summary:
                item.summary.append(SummaryText())
                part = SummaryText()
                out.append(self._in(item, events.SummaryAdded, summary_index=0, part=part))
        item.content[0].text += text
        out.append(self._in(item, events.ReasoningDelta, content_index=0, delta=text))
        if self._telling.summary:
            item.summary[0].text += text
            out.append(self._in(item, events.SummaryDelta, summary_index=0, delta=text))
        return out

    def _reasoning_done(self, item: ReasoningItem) -> list[Event]:
        text = item.content[0].text
        out: list[Event] = [
            self._in(item, events.ReasoningDone, content_index=0, text=text),
            self._in(item, events.PartDone, content_index=0, part=item.content[0]),
        ]
        for part in item.summary:
            out += [
                self._in(item, events.SummaryTextDone, summary_index=0, text=part.text),
                self._in(item, events.SummaryDone, summary_index=0, part=part),
            ]
        if self._telling.carries_reasoning:
            item.encrypted_content = carried_reasoning.packed(text)
        return out

    def _say(self, text: str, logprobs: Sequence[TokenLogprob]) -> list[Event]:
        out: list[Event] = []
        item = self._open
        if not isinstance(item, OutputMessage):
            item, told = (OutputMessage(id=i, status="in_progress") for i in _twice("msg"))
            out = self._begin(item, told)
            item.content.append(OutputText())
            out.append(self._in(item, events.PartAdded, content_index=0, part=OutputText()))
        item.content[0].text += text
        item.content[0].logprobs += logprobs
        delta = {"content_index": 0, "delta": text, "logprobs": [*logprobs]}
        out.append(self._in(item, events.TextDelta, **delta))
        return out

    def _go_on_calling(self, call: CalledTool) -> list[Event]:
        out: list[Event] = []
        if call.id is not UNSET:
            name = call.function.name or ""
            custom = name in self._telling.box.custom
            kind, letters = (CustomCallItem, "ctc") if custom else (FunctionCallItem, "fc")
            fields: dict[str, Any] = {"status": "in_progress", "call_id": call.id, "name": name}
            if name in self._telling.box.namespaces:
                fields["name"], fields["namespace"] = self._telling.box.namespaces[name]
            begun, told = (kind(id=i, **fields) for i in _twice(letters))
            out = self._begin(begun, told)
        item = self._open
        more = call.function.arguments
        if isinstance(item, CustomCallItem):
            item.input += more  # it is told when it can be read
        elif isinstance(item, FunctionCallItem) and more:
            item.arguments += more
            out.append(self._in(item, events.ArgumentsDelta, delta=more))
        return out

    def _begin(self, item: OutputItem, told: OutputItem) -> list[Event]:
        """End the item before, if there is one, and add another."""
        out = self.close()
        self.items.append(item)
        self._open = item
        out.append(self.event(events.ItemAdded, output_index=len(self.items) - 1, item=told))
        return out

    def _in(self, item: OutputItem, kind: Callable[..., Event], **fields: Any) -> Event:
        """Return an event about the last item."""
        return self.event(kind, item_id=item.id, output_index=len(self.items) - 1, **fields)


def _twice(kind: str) -> tuple[str, str]:
    """Return an identity for an item, and for what is told when it begins."""
    made = new_id(kind)
    return made, made
