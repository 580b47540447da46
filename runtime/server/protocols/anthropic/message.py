"""Messages as they are answered, the events of their streams, and errors."""

from __future__ import annotations

import secrets
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from runtime.inference.stats import Stats
from runtime.server.http.http_error import HTTPError
from runtime.server.service.schema_report import SchemaCheck

StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"
]


class TextBlock(Struct, tag_field="type", tag="text", kw_only=True):
    """Text of the answer."""

    text: str = ""


class ThinkingBlock(Struct, tag_field="type", tag="thinking", kw_only=True):
    """What was thought before the answer."""

    thinking: str = ""
    signature: str = ""
    """Nothing is signed here: empty, or what was thought where that is not to be shown."""


class ToolUseBlock(Struct, tag_field="type", tag="tool_use", kw_only=True):
    """A call of a tool."""

    id: str
    name: str
    input: dict[str, Any] = msgspec.field(default_factory=dict)


AnswerBlock = TextBlock | ThinkingBlock | ToolUseBlock


class OutputDetails(Struct):
    """How many tokens of the answer were thought."""

    thinking_tokens: int


class MessageUsage(Struct, kw_only=True):
    """Tokens used by a message; those of the prompt that were cached are counted apart."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    """Nothing is charged for keeping them."""
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: OutputDetails | UnsetType = UNSET
    service_tier: Literal["standard"] = "standard"

    @classmethod
    def of(cls, stats: Stats, thinking_tokens: int) -> MessageUsage:
        """Return the usage of an answer."""
        answer = stats.generated_tokens
        return cls(
            input_tokens=stats.prompt_tokens - stats.cached_tokens,
            cache_read_input_tokens=stats.cached_tokens,
            output_tokens=answer,
            output_tokens_details=OutputDetails(min(thinking_tokens, answer)),
        )


class Message(Struct, tag_field="type", tag="message", kw_only=True):
    """The assistant's answer."""

    id: str
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[AnswerBlock] = msgspec.field(default_factory=list)
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    usage: MessageUsage
    schema_check: SchemaCheck | UnsetType = UNSET


class TokenCount(Struct):
    """How many tokens a request's prompt has."""

    input_tokens: int


class Event(Struct, tag_field="type", kw_only=True):
    """An event of a stream; its tag is its name."""


class MessageStart(Event, tag="message_start"):
    """The message begins, without content."""

    message: Message


class Ping(Event, tag="ping"):
    """The prompt is still read."""


class BlockStart(Event, tag="content_block_start"):
    """A block begins."""

    index: int
    content_block: AnswerBlock


class TextDelta(Event, tag="text_delta"):
    """More of a text."""

    text: str


class ThinkingDelta(Event, tag="thinking_delta"):
    """More of what is thought."""

    thinking: str


class SignatureDelta(Event, tag="signature_delta"):
    """What a block of thinking is signed with."""

    signature: str


class InputDelta(Event, tag="input_json_delta"):
    """More of a call's input."""

    partial_json: str


class BlockDelta(Event, tag="content_block_delta"):
    """More of a block."""

    index: int
    delta: TextDelta | ThinkingDelta | SignatureDelta | InputDelta


class BlockStop(Event, tag="content_block_stop"):
    """A block is complete."""

    index: int


class End(Struct):
    """Why the answer has ended."""

    stop_reason: StopReason
    stop_sequence: str | None


class MessageDelta(Event, tag="message_delta"):
    """All blocks are complete."""

    delta: End
    usage: MessageUsage
    schema_check: SchemaCheck | UnsetType = UNSET


class MessageStop(Event, tag="message_stop"):
    """The message is complete."""


class ErrorDetails(Struct):
    """What is wrong."""

    type: str
    message: str


class Failure(Event, tag="error"):
    """The response to a failed request, or the last event of a stream that fails."""

    error: ErrorDetails
    request_id: str | None = None


AnyEvent = (
    MessageStart | Ping | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | Failure
)
KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    503: "overloaded_error",
}
"""Anthropic's names of errors, by the status."""


def failure_of(problem: HTTPError) -> Failure:
    """Return an error as Anthropic's clients read it: the message alone names the field."""
    other = "invalid_request_error" if problem.status < 500 else "api_error"
    message, field = problem.message, problem.param
    if field and f"'{field}" not in message:
        message = f"'{field}': {message}"
    return Failure(error=ErrorDetails(KINDS.get(problem.status, other), message))


def new_id() -> str:
    """Return an identity that no other message has."""
    return f"msg_{secrets.token_hex(12)}"
