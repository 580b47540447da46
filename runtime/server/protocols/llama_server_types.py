"""llama-server's own requests and answers, and those of an older server in Go.

https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from runtime.server.protocols.openai_types import (
    ChatMessage,
    Prompt,
    PromptProgress,
    Timings,
    Tool,
    Top,
)
from runtime.server.protocols.sampling_fields import Limit, Sampling


class CompletionRequest(Sampling, kw_only=True):
    """A text to go on with, in llama-server's terms."""

    prompt: Prompt
    n_predict: Limit | None = None
    max_tokens: Limit | None = None
    n_probs: Top | None = None
    stream: bool | None = None
    return_tokens: bool | None = None
    return_progress: bool | None = None
    timings_per_token: bool | None = None


class TokenProbability(Struct, kw_only=True):
    """A token, how likely it was, and what else might have been."""

    id: int
    token: str
    bytes: list[int]
    logprob: float
    top_logprobs: list[TokenProbability] | UnsetType = UNSET


class Completion(Struct, kw_only=True):
    """A completion, or a part of one."""

    index: int
    content: str
    tokens: list[int]
    id_slot: int = -1
    stop: bool
    tokens_predicted: int
    tokens_evaluated: int
    completion_probabilities: list[TokenProbability] | UnsetType = UNSET
    model: str | UnsetType = UNSET
    generation_settings: dict[str, Any] | UnsetType = UNSET
    prompt: str | UnsetType = UNSET
    has_new_line: bool | UnsetType = UNSET
    truncated: bool | UnsetType = UNSET
    stop_type: str | UnsetType = UNSET
    stopping_word: str | UnsetType = UNSET
    tokens_cached: int | UnsetType = UNSET
    prompt_progress: PromptProgress | UnsetType = UNSET
    timings: Timings | UnsetType = UNSET


class TokenizeRequest(Struct, kw_only=True):
    """A text to be cut into tokens."""

    content: str
    add_special: bool = False
    parse_special: bool = True
    with_pieces: bool = False


class TokenPiece(Struct):
    """A token and its text, or its bytes where they are no text."""

    id: int
    piece: str | list[int]


class Tokens(Struct):
    """The tokens of a text."""

    tokens: list[int | TokenPiece]


class DetokenizeRequest(Struct):
    """Tokens to be joined."""

    tokens: list[int]


class Content(Struct):
    """The text of tokens."""

    content: str


class TemplateRequest(Struct, kw_only=True):
    """A conversation to be written as the model reads it."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    tools: list[Tool] | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class TemplateResponse(Struct):
    """The conversation as the model reads it."""

    prompt: str


class Health(Struct, omit_defaults=True):
    """Whether the server can answer."""

    status: str
    fallback: str | None = None


class NextToken(Struct):
    """How far an answer is."""

    has_next_token: bool
    n_decoded: int


class SlotState(Struct):
    """What a sequence does."""

    id: int
    n_ctx: int
    is_processing: bool
    n_tokens: int
    next_token: NextToken


class GenerationDefaults(Struct):
    """How answers are made when a request says nothing."""

    n_ctx: int
    params: dict[str, Any]


class Program(Struct):
    """What this program says about itself."""

    name: str
    greeting: str
    system: str
    licence: str
    version: str
    thinking: bool
    """Whether the model can be told not to think aloud."""
    tools: bool
    """Whether the model can call tools."""
    embeddings: bool
    fallback: str
    """The server that answers instead, empty when this one does."""


class Props(Struct, kw_only=True):
    """What a page needs to know."""

    default_generation_settings: GenerationDefaults
    total_slots: int
    model_alias: str
    model_path: str
    modalities: dict[str, bool]
    chat_template: str
    bos_token: str
    eos_token: str
    build_info: str
    modelembed: Program


class OldRequest(Struct, kw_only=True):
    """A request to the older server; the defaults are its own."""

    prompt: str
    tokens: Annotated[int, Meta(ge=-1, le=2**31 - 1)] = -1
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 40
    top_p: Annotated[float, Meta(ge=0, le=1)] = 0.9
    temp: Annotated[float, Meta(ge=0, le=100)] = 0.8
    repeat_penalty: Annotated[float, Meta(ge=0.01, le=100)] = 1.3
    repeat_lastn: Annotated[int, Meta(ge=-1, le=2**31 - 1)] = 64


class OldResponse(Struct):
    """Its answer."""

    Prompt: str
    Text: str
    Tokens: int
    CompleteReason: str
