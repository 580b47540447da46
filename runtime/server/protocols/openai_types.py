"""Requests and responses of OpenAI's API: https://platform.openai.com/docs/api-reference.

Unknown fields are ignored, as by OpenAI. Fields that llama-server adds are accepted, too:
https://github.com/ggml-org/llama.cpp/tree/master/tools/server.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from runtime import __version__, bounds
from runtime.chat_format.chat_template import Continuation
from runtime.inference.stats import Stats
from runtime.inference.token_stream import SampledToken
from runtime.model.model import Model
from runtime.server.protocols.documents.document_types import CitedPassage
from runtime.server.protocols.llama_server_types import PromptProgress, Timings, finite
from runtime.server.protocols.messages import ChatMessage, Tool
from runtime.server.protocols.sampling_fields import (
    Count,
    Integer,
    Limit,
    Name,
    Prompt,
    Sampling,
    Top,
)
from runtime.server.service.schema_report import SchemaCheck

FINGERPRINT = f"modelembed-{__version__}"
"""What answers depend on beside the request."""
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Named(Struct):
    """A function's name."""

    name: str


class NamedTool(Struct):
    """The one tool that the model must call."""

    function: Named
    type: Literal["function"] = "function"


class JsonSchema(Struct):
    """A JSON schema for the answer."""

    schema: dict[str, Any] | bool | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct):
    """The format that the answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema: dict[str, Any] | bool | None = None


class StreamOptions(Struct):
    """What a stream holds beside the answer."""

    include_usage: bool | None = None


class Generation(Sampling, kw_only=True):
    """The fields that both kinds of completion share."""

    model: Name | None = None
    max_tokens: Limit | None = None
    n_predict: Limit | None = None
    n: Count | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    return_progress: bool | None = None
    timings_per_token: bool | None = None
    user: str | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with its token usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(Generation, kw_only=True):
    """A request to answer a conversation."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=bounds.MESSAGES)]
    tools: Annotated[list[Tool], Meta(max_length=bounds.TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: Continuation | None = None
    reasoning_effort: Effort | None = None
    reasoning_format: Literal["none", "auto", "deepseek", "deepseek-legacy"] | None = None
    reasoning_budget: Integer | None = None
    reasoning_budget_tokens: Integer | None = None
    thinking_budget_tokens: Integer | None = None
    chat_template_kwargs: dict[str, Any] = msgspec.field(default_factory=dict)
    max_completion_tokens: Limit | None = None
    logprobs: bool | None = None
    top_logprobs: Top | None = None
    documents: bool | None = None
    """Ours: whether to answer from the documents, by default where that is possible."""


class CompletionRequest(Generation, kw_only=True):
    """A request to complete a text."""

    prompt: Prompt
    suffix: str | None = None
    echo: bool | None = None
    best_of: Count | None = None
    logprobs: Top | bool | None = None


class PromptDetails(Struct):
    """How many tokens of the prompt were cached."""

    cached_tokens: int


class Usage(Struct):
    """Tokens used by a request."""

    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails

    @classmethod
    def of(cls, answers: Sequence[Stats], count: int = 1) -> Usage:
        """Return the usage of all answers to one request, `count` to each prompt in turn.

        A prompt counts once.
        """
        groups = [answers[begin : begin + count] for begin in range(0, len(answers), count)]
        prompt = sum(max(stats.prompt_tokens for stats in group) for group in groups)
        cached = sum(max(stats.cached_tokens for stats in group) for group in groups)
        answer = sum(stats.generated_tokens for stats in answers)
        return cls(answer, prompt, prompt + answer, PromptDetails(cached))


class TopLogprob(Struct, gc=False):
    """A likely token and its log-probability."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(Struct, gc=False):
    """A generated token, its log-probability, and the most likely alternatives."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]

    @classmethod
    def of(cls, model: Model, chosen: SampledToken) -> TokenLogprob:
        """Return the log-probabilities of one token."""
        others = []
        for other in chosen.alternatives:
            piece = model.piece(other.token, special=True)
            others.append(TopLogprob(_text(piece), finite(other.logprob), list(piece)))
        piece = model.piece(chosen.token, special=True)
        return cls(_text(piece), finite(chosen.logprob), list(piece), others)


class Logprobs(Struct):
    """The log-probabilities of a chat answer's tokens."""

    content: list[TokenLogprob]
    refusal: None = None

    @classmethod
    def of(cls, model: Model, chosen: Sequence[SampledToken]) -> Logprobs | None:
        """Return the log-probabilities of tokens, None if they were not requested."""
        return cls([TokenLogprob.of(model, one) for one in chosen]) if chosen else None


class CalledFunction(Struct, omit_defaults=True):
    """A function call; in a stream, a fragment whose arguments are to be concatenated."""

    arguments: str = ""
    name: str | None = None


class CalledTool(Struct, kw_only=True):
    """A tool call in an answer."""

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: CalledFunction


class AnswerMessage(Struct, kw_only=True):
    """The assistant's message."""

    role: str = "assistant"
    content: str | None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[CalledTool] | UnsetType = UNSET


class ChatChoice(Struct, kw_only=True):
    """One answer."""

    index: int
    message: AnswerMessage
    logprobs: Logprobs | None = None
    finish_reason: str


class ChatResponse(Struct, kw_only=True):
    """The response to a chat request."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage
    timings: Timings
    schema_check: SchemaCheck | UnsetType = UNSET
    sources: list[CitedPassage] | UnsetType = UNSET
    """Ours: what the answers were made from; empty if nothing was found."""
    removed_citations: int | UnsetType = UNSET
    """Ours: how many citations pointed nowhere, and were left out."""


class Delta(Struct, kw_only=True):
    """What is new in a chunk."""

    role: str | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[CalledTool] | UnsetType = UNSET


class ChunkChoice(Struct, kw_only=True):
    """What is new in one answer."""

    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class ChatChunk(Struct, kw_only=True):
    """One event of a streamed chat response."""

    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET
    prompt_progress: PromptProgress | UnsetType = UNSET
    timings: Timings | UnsetType = UNSET
    schema_check: SchemaCheck | UnsetType = UNSET
    sources: list[CitedPassage] | UnsetType = UNSET
    """Ours: with the end of the last answer."""
    removed_citations: int | UnsetType = UNSET


class CompletionLogprobs(Struct):
    """The log-probabilities of a completion's tokens."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(Struct, kw_only=True):
    """One completion, or in a stream, what is new in it."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None = None


class CompletionResponse(Struct, kw_only=True):
    """The response to a completion request, or one event of its stream."""

    id: str
    object: str = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: Usage | UnsetType | None = UNSET
    prompt_progress: PromptProgress | UnsetType = UNSET
    timings: Timings | UnsetType = UNSET
    schema_check: SchemaCheck | UnsetType = UNSET


def stamp(kind: str, model: str) -> dict[str, Any]:
    """Return the fields that all events of a response share; `kind` is the prefix of its id."""
    return {
        "id": f"{kind}-{secrets.token_urlsafe(18)}",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
    }


def _text(piece: bytes) -> str:
    return piece.decode("utf-8", "replace")
