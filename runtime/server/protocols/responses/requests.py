"""Requests of OpenAI's Responses: https://platform.openai.com/docs/api-reference/responses.

Unknown fields are ignored. The fields of sampling that llama-server adds are accepted, too.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from runtime import bounds
from runtime.server.protocols.messages import InputAudio, ToolName
from runtime.server.protocols.openai_types import Effort
from runtime.server.protocols.sampling_fields import Integer, Limit, Name, Sampling, Top


class Part(Struct, kw_only=True, omit_defaults=True):
    """A part of a content, a summary or an output."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    """A data URL, or if the server may fetch it, an address."""
    input_audio: InputAudio | None = None


Parts = Annotated[list[Part], Meta(max_length=bounds.PARTS)]


class SingleTool(Struct, kw_only=True, omit_defaults=True):
    """A tool; `type` tells of which kind."""

    type: Name
    name: ToolName | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: dict[str, Any] | None = None
    """What the input of a custom tool is written in."""


class ToolDefinition(SingleTool, kw_only=True, omit_defaults=True):
    """A tool, or a namespace of tools."""

    tools: Annotated[list[SingleTool], Meta(max_length=bounds.TOOLS)] | None = None


Tools = Annotated[list[ToolDefinition], Meta(max_length=bounds.TOOLS)]


class Item(Struct, kw_only=True, omit_defaults=True):
    """An item of a conversation: a message, a call, its output, reasoning …; `type` tells which."""

    type: Name | None = None
    id: Name | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | Parts | None = None
    name: Name | None = None
    namespace: Name | None = None
    call_id: Name | None = None
    arguments: str | dict[str, Any] | None = None
    input: str | None = None
    """That of a call of a custom tool."""
    output: str | Parts | Part | None = None
    summary: Parts | None = None
    encrypted_content: str | None = None
    tools: Tools | None = None


class NamedTool(Struct, kw_only=True, omit_defaults=True):
    """A tool by its name."""

    type: Name
    name: Name | None = None


class ToolChoice(NamedTool, kw_only=True, omit_defaults=True):
    """The tool that must be called, or those that may be."""

    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[NamedTool], Meta(max_length=bounds.TOOLS)] | None = None


class TextFormat(Struct, kw_only=True, omit_defaults=True):
    """The format that the answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | bool | None = None
    strict: bool | None = None


class TextConfig(Struct, kw_only=True, omit_defaults=True):
    """How the text of the answer is to be."""

    format: TextFormat | None = None
    verbosity: Name | None = None


SUMMARIES = ("auto", "concise", "detailed")


class ReasoningConfig(Struct, kw_only=True):
    """How much is to be reasoned, and what is told of it."""

    effort: Effort | None = None
    summary: Name | None = None
    generate_summary: Name | UnsetType | None = UNSET
    """An older name for the same."""


class StreamOptions(Struct, kw_only=True):
    """How a stream is written."""

    include_obfuscation: bool | None = None


class InputRequest(Sampling, kw_only=True):
    """What a prompt is made of."""

    model: Name | None = None
    input: str | Annotated[list[Item], Meta(max_length=bounds.MESSAGES)] | None = None
    instructions: str | None = None
    previous_response_id: Name | None = None
    tools: Tools | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None
    chat_template_kwargs: dict[str, Any] = msgspec.field(default_factory=dict)
    conversation: Any = None
    prompt: Any = None


class ResponsesRequest(InputRequest, kw_only=True):
    """A request for an answer."""

    max_output_tokens: Limit | None = None
    thinking_budget_tokens: Integer | None = None
    include: Annotated[list[Name], Meta(max_length=bounds.PARTS)] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    background: bool | None = None
    top_logprobs: Top | None = None
    metadata: dict[str, str] | None = None
    service_tier: Name | None = None
    prompt_cache_key: Name | None = None
    safety_identifier: Name | None = None
    max_tool_calls: Integer | None = None
    user: str | None = None

    @property
    def wants_logprobs(self) -> bool:
        """Whether the log-probabilities of the text's tokens are asked for."""
        return "message.output_text.logprobs" in (self.include or ())

    @property
    def carries_reasoning(self) -> bool:
        """Whether the client keeps the reasoning without reading it."""
        return "reasoning.encrypted_content" in (self.include or ())

    @property
    def wants_summary(self) -> bool:
        """Whether a summary of the reasoning is asked for."""
        given = self.reasoning
        return bool(given and {given.summary, given.generate_summary} & {*SUMMARIES})
