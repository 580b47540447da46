"""Responses: what is answered, as items, and what the answer was asked for with."""

from __future__ import annotations

import secrets
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from runtime.inference.stats import Stats
from runtime.server.protocols.openai_types import TokenLogprob
from runtime.server.protocols.responses.requests import (
    ReasoningConfig,
    TextConfig,
    ToolChoice,
    ToolDefinition,
)
from runtime.server.service.schema_report import SchemaCheck

Status = Literal["in_progress", "completed", "incomplete", "failed"]


class OutputText(Struct, tag_field="type", tag="output_text", kw_only=True):
    """Text of an answer."""

    text: str = ""
    annotations: list[Any] = msgspec.field(default_factory=list)
    logprobs: list[TokenLogprob] = msgspec.field(default_factory=list)


class ReasoningText(Struct, tag_field="type", tag="reasoning_text", kw_only=True):
    """Text of the reasoning."""

    text: str = ""


class SummaryText(Struct, tag_field="type", tag="summary_text", kw_only=True):
    """Text of the reasoning's summary."""

    text: str = ""


class OutputMessage(Struct, tag_field="type", tag="message", kw_only=True):
    """A message of the assistant."""

    id: str
    status: Status
    role: Literal["assistant"] = "assistant"
    content: list[OutputText] = msgspec.field(default_factory=list)


class ReasoningItem(Struct, tag_field="type", tag="reasoning", kw_only=True):
    """Reasoning before an answer."""

    id: str
    status: Status
    summary: list[SummaryText] = msgspec.field(default_factory=list)
    content: list[ReasoningText] = msgspec.field(default_factory=list)
    encrypted_content: str | None = None


class FunctionCallItem(Struct, tag_field="type", tag="function_call", kw_only=True):
    """A call of a function."""

    id: str
    status: Status
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    arguments: str = ""


class CustomCallItem(Struct, tag_field="type", tag="custom_tool_call", kw_only=True):
    """A call of a custom tool."""

    id: str
    status: Status
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    input: str = ""


OutputItem = OutputMessage | ReasoningItem | FunctionCallItem | CustomCallItem


class InputDetails(Struct):
    """How many tokens of the prompt were cached."""

    cached_tokens: int
    cache_write_tokens: int = 0
    """Nothing is charged for keeping them."""


class OutputDetails(Struct):
    """How many tokens of the answer are reasoning."""

    reasoning_tokens: int


class ResponseUsage(Struct):
    """Tokens used by a response."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int

    @classmethod
    def of(cls, stats: Stats, reasoning_tokens: int) -> ResponseUsage:
        """Return the usage of an answer."""
        prompt, answer = stats.prompt_tokens, stats.generated_tokens
        reasoning = OutputDetails(min(reasoning_tokens, answer))
        return cls(prompt, InputDetails(stats.cached_tokens), answer, reasoning, prompt + answer)


class ResponseError(Struct):
    """Why there is no complete answer."""

    code: str
    message: str


class IncompleteDetails(Struct):
    """Why an answer ended before its end."""

    reason: Literal["max_output_tokens"]


class Response(Struct, kw_only=True):
    """A response, complete or not."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status
    model: str
    output: list[OutputItem] = msgspec.field(default_factory=list)
    usage: ResponseUsage | None = None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    previous_response_id: str | None
    store: bool
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    reasoning: ReasoningConfig
    temperature: float
    text: TextConfig
    tool_choice: Literal["none", "auto", "required"] | ToolChoice
    tools: list[ToolDefinition]
    top_p: float
    top_logprobs: int
    truncation: Literal["auto", "disabled"]
    background: Literal[False] = False
    service_tier: Literal["default"] = "default"
    max_tool_calls: int | None
    prompt_cache_key: str | None
    safety_identifier: str | None
    user: str | None
    schema_check: SchemaCheck | UnsetType = UNSET


class InputTokens(Struct):
    """How many tokens a request's prompt has."""

    input_tokens: int
    object: Literal["response.input_tokens"] = "response.input_tokens"


def new_id(kind: str) -> str:
    """Return an identity that no other response or item has; `kind` begins it."""
    return f"{kind}_{secrets.token_hex(24)}"
