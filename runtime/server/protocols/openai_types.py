"""OpenAI's requests and answers: https://platform.openai.com/docs/api-reference.

Fields that are not listed are ignored, as OpenAI does. What llama-server adds is taken, too:
https://github.com/ggml-org/llama.cpp/tree/master/tools/server.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from runtime import __version__
from runtime.inference.stats import Stats
from runtime.inference.token_stream import SampledToken
from runtime.model.model import Model
from runtime.server.protocols.llama_server_types import PromptProgress, Timings, finite
from runtime.server.protocols.messages import ChatMessage, Tool
from runtime.server.protocols.sampling_fields import Count, Limit, Prompt, Sampling, Top

FINGERPRINT = f"modelembed-{__version__}"
"""What answers depend on beside the request."""
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class Named(Struct):
    """A function's name."""

    name: str


class NamedTool(Struct):
    """The one tool that the model must use."""

    function: Named
    type: Literal["function"] = "function"


class JsonSchema(Struct, kw_only=True):
    """A schema for the answer."""

    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | bool | None = None
    strict: bool | None = None


class ResponseFormat(Struct, kw_only=True):
    """The form that the answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema: dict[str, Any] | bool | None = None


class StreamOptions(Struct):
    """What a stream holds beside the answer."""

    include_usage: bool | None = None


class Generation(Sampling, kw_only=True):
    """What both kinds of completions take."""

    model: str | None = None
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
        """Tell whether a stream is to end with what it cost."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(Generation, kw_only=True):
    """A conversation to go on with."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    max_completion_tokens: Limit | None = None
    logprobs: bool | None = None
    top_logprobs: Top | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    reasoning_format: Literal["none", "auto", "deepseek", "deepseek-legacy"] | None = None
    reasoning_budget: int | None = None
    thinking_budget_tokens: int | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class CompletionRequest(Generation, kw_only=True):
    """A text to go on with."""

    prompt: Prompt
    suffix: str | None = None
    echo: bool | None = None
    best_of: Count | None = None
    logprobs: Top | bool | None = None


class PromptDetails(Struct):
    """How much of the prompt was there already."""

    cached_tokens: int


class Usage(Struct):
    """What a request cost, in tokens."""

    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails

    @classmethod
    def of(cls, answers: Sequence[Stats]) -> Usage:
        """Return what the answers to one request cost."""
        prompt = max(stats.prompt_tokens for stats in answers)
        cached = max(stats.cached_tokens for stats in answers)
        answer = sum(stats.generated_tokens for stats in answers)
        return cls(answer, prompt, prompt + answer, PromptDetails(cached))


class TopLogprob(Struct):
    """A token that might have been."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(Struct):
    """A token of the answer, how likely it was, and what else might have been."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]

    @classmethod
    def of(cls, model: Model, chosen: SampledToken) -> TokenLogprob:
        """Return how likely a token was."""
        others = []
        for other in chosen.alternatives:
            piece = model.piece(other.token, special=True)
            others.append(TopLogprob(_text(piece), finite(other.logprob), list(piece)))
        piece = model.piece(chosen.token, special=True)
        return cls(_text(piece), finite(chosen.logprob), list(piece), others)


class Logprobs(Struct):
    """How likely the tokens of a chat's answer were."""

    content: list[TokenLogprob]
    refusal: None = None

    @classmethod
    def of(cls, model: Model, chosen: Sequence[SampledToken]) -> Logprobs | None:
        """Return how likely tokens were, None where nobody asked."""
        return cls([TokenLogprob.of(model, one) for one in chosen]) if chosen else None


class CalledFunction(Struct, omit_defaults=True):
    """A call, or a part of one: its arguments are to be joined."""

    arguments: str = ""
    name: str | None = None


class CalledTool(Struct, kw_only=True):
    """A call in an answer."""

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: CalledFunction


class AnswerMessage(Struct, kw_only=True):
    """What the assistant says."""

    role: str = "assistant"
    content: str | None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[CalledTool] | UnsetType = UNSET


class ChatChoice(Struct, kw_only=True):
    """One answer of a chat."""

    index: int
    message: AnswerMessage
    logprobs: Logprobs | None = None
    finish_reason: str


class ChatResponse(Struct, kw_only=True):
    """The answers of a chat."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage
    timings: Timings


class Delta(Struct, kw_only=True):
    """What came since the last part."""

    role: str | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[CalledTool] | UnsetType = UNSET


class ChunkChoice(Struct, kw_only=True):
    """A part of one answer."""

    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class ChatChunk(Struct, kw_only=True):
    """A part of the answers of a chat."""

    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET
    prompt_progress: PromptProgress | UnsetType = UNSET
    timings: Timings | UnsetType = UNSET


class CompletionLogprobs(Struct):
    """How likely the tokens of a completion were."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(Struct, kw_only=True):
    """One completion, or a part of one."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None = None


class CompletionResponse(Struct, kw_only=True):
    """Completions, or parts of them."""

    id: str
    object: str = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: Usage | UnsetType | None = UNSET
    prompt_progress: PromptProgress | UnsetType = UNSET
    timings: Timings | UnsetType = UNSET


def stamp(kind: str, model: str) -> dict[str, Any]:
    """Return what all parts of an answer say alike; `kind` begins its id."""
    return {
        "id": f"{kind}-{secrets.token_urlsafe(18)}",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
    }


def _text(piece: bytes) -> str:
    return piece.decode("utf-8", "replace")
