"""Requests of Anthropic's Messages: https://docs.anthropic.com/en/api/messages.

Unknown fields are ignored. The fields of sampling that llama-server adds are accepted, too.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from runtime import bounds
from runtime.server.protocols.messages import ToolName
from runtime.server.protocols.openai_types import Effort
from runtime.server.protocols.sampling_fields import Integer, Limit, Name, Sampling, Stops


class Leaf(Struct, kw_only=True):
    """A block that has no others."""

    type: Name
    text: str | None = None


Leaves = Annotated[list[Leaf], Meta(max_length=bounds.PARTS)]


class Source(Struct, kw_only=True):
    """Where a document or picture comes from."""

    type: Name
    data: str | None = None
    url: str | None = None
    content: str | Leaves | None = None


class Titled(Leaf, kw_only=True):
    """A block that may be a document, a picture, or what a search found."""

    source: Source | str | None = None
    title: str | None = None
    context: str | None = None


class Reading(Titled, kw_only=True):
    """A block of what a tool gave."""

    content: str | Leaves | Leaf | None = None


Readings = Annotated[list[Reading], Meta(max_length=bounds.PARTS)]


class Block(Titled, kw_only=True):
    """A block of content: what is read, thinking, a call, its result …; `type` tells which."""

    thinking: str | None = None
    signature: str | None = None
    id: Name | None = None
    name: Name | None = None
    input: dict[str, Any] | None = None
    tool_use_id: Name | None = None
    content: str | Readings | Reading | None = None


Blocks = Annotated[list[Block], Meta(max_length=bounds.PARTS)]


class Turn(Struct, kw_only=True):
    """A message of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | Blocks


class ToolDefinition(Struct, kw_only=True):
    """A tool; those of other types than `custom` are Anthropic's own."""

    name: ToolName | None = None
    type: Name | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class ToolChoice(Struct, kw_only=True):
    """Whether a tool must be called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: Name | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, kw_only=True):
    """Whether the model is to think, and what is told of it."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Integer | None = None
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(Struct, kw_only=True):
    """The schema that the answer must follow."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct, kw_only=True):
    """How the answer is to be."""

    effort: Effort | None = None
    format: OutputFormat | None = None


class CountRequest(Sampling, kw_only=True):
    """What a prompt is made of."""

    model: Name | None = None
    messages: Annotated[list[Turn], Meta(min_length=1, max_length=bounds.MESSAGES)]
    system: str | Blocks | None = None
    tools: Annotated[list[ToolDefinition], Meta(max_length=bounds.TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    """As clients sent it while it was new."""
    chat_template_kwargs: dict[str, Any] = msgspec.field(default_factory=dict)


class MessagesRequest(CountRequest, kw_only=True):
    """A request for an answer."""

    max_tokens: Limit | None = None
    """Anthropic's own server needs it; here it may be left to the server's default."""
    stop_sequences: Stops | None = None
    stream: bool | None = None

    @property
    def hides_thinking(self) -> bool:
        """Whether the client is to keep what was thought without reading it."""
        return bool(self.thinking and self.thinking.display == "omitted")
