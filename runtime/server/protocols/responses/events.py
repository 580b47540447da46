"""Events of a streamed response: https://platform.openai.com/docs/api-reference/responses-streaming.

They are numbered in turn. An item is added, grows by deltas and is done before the next is added.
"""

from __future__ import annotations

from msgspec import Struct

from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.openai_types import TokenLogprob
from runtime.server.protocols.responses.response import (
    OutputItem,
    OutputText,
    ReasoningText,
    Response,
    SummaryText,
)


class Event(Struct, tag_field="type", kw_only=True):
    """An event; its tag is its name."""

    sequence_number: int


class Created(Event, tag="response.created"):
    """The request was accepted."""

    response: Response


class InProgress(Event, tag="response.in_progress"):
    """It is worked on."""

    response: Response


class Completed(Event, tag="response.completed"):
    """The answer is complete."""

    response: Response


class Incomplete(Event, tag="response.incomplete"):
    """The answer is as long as it may be."""

    response: Response


class Failed(Event, tag="response.failed"):
    """There will be no more of the answer."""

    response: Response


class Problem(Event, tag="error"):
    """Something went wrong that no response tells of."""

    code: str | None
    message: str
    param: str | None


class ItemAdded(Event, tag="response.output_item.added"):
    """An item begins."""

    output_index: int
    item: OutputItem


class ItemDone(Event, tag="response.output_item.done"):
    """An item is complete."""

    output_index: int
    item: OutputItem


class InItem(Event):
    """Something in an item."""

    item_id: str
    output_index: int


class PartAdded(InItem, tag="response.content_part.added"):
    """A part of an item begins."""

    content_index: int
    part: OutputText | ReasoningText


class PartDone(InItem, tag="response.content_part.done"):
    """A part of an item is complete."""

    content_index: int
    part: OutputText | ReasoningText


class TextDelta(InItem, tag="response.output_text.delta"):
    """More of the text."""

    content_index: int
    delta: str
    logprobs: list[TokenLogprob]


class TextDone(InItem, tag="response.output_text.done"):
    """The whole text."""

    content_index: int
    text: str
    logprobs: list[TokenLogprob]


class ReasoningDelta(InItem, tag="response.reasoning_text.delta"):
    """More of the reasoning."""

    content_index: int
    delta: str


class ReasoningDone(InItem, tag="response.reasoning_text.done"):
    """The whole reasoning."""

    content_index: int
    text: str


class SummaryAdded(InItem, tag="response.reasoning_summary_part.added"):
    """The summary of the reasoning begins."""

    summary_index: int
    part: SummaryText


class SummaryDelta(InItem, tag="response.reasoning_summary_text.delta"):
    """More of the summary."""

    summary_index: int
    delta: str


class SummaryTextDone(InItem, tag="response.reasoning_summary_text.done"):
    """The whole summary."""

    summary_index: int
    text: str


class SummaryDone(InItem, tag="response.reasoning_summary_part.done"):
    """The summary is complete."""

    summary_index: int
    part: SummaryText


class ArgumentsDelta(InItem, tag="response.function_call_arguments.delta"):
    """More of a call's arguments."""

    delta: str


class ArgumentsDone(InItem, tag="response.function_call_arguments.done"):
    """All of a call's arguments."""

    name: str
    arguments: str


class InputDelta(InItem, tag="response.custom_tool_call_input.delta"):
    """More of what a custom tool is called with."""

    delta: str


class InputDone(InItem, tag="response.custom_tool_call_input.done"):
    """All that a custom tool is called with."""

    input: str


AnyEvent = (
    Created | InProgress | Completed | Incomplete | Failed | Problem | ItemAdded | ItemDone
    | PartAdded | PartDone | TextDelta | TextDone | ReasoningDelta | ReasoningDone
    | SummaryAdded | SummaryDelta | SummaryTextDone | SummaryDone
    | ArgumentsDelta | ArgumentsDone | InputDelta | InputDone
)  # fmt: skip


def problem_of(error: HTTPError) -> Problem:
    """Return the last event of a stream that breaks."""
    details = error.body().error
    code = None if details.code is None else str(details.code)
    return Problem(sequence_number=0, code=code, message=details.message, param=details.param)
