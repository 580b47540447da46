"""llama-server's requests and answers, and what it adds to OpenAI's.

https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from runtime import bounds
from runtime.inference.stats import Stats
from runtime.inference.token_stream import PrefillProgress
from runtime.server.protocols.sampling_fields import Limit, Name, Prompt, Sampling, Top
from runtime.server.service.schema_report import SchemaCheck

LEAST_LOGPROB = -9999.0  # JSON has no infinity


def finite(logprob: float) -> float:
    """Return a log-probability as a number that JSON can hold."""
    return max(logprob, LEAST_LOGPROB)


class Timings(Struct):
    """Speed of an answer, in milliseconds and tokens per second, as llama-server reports it."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float

    @classmethod
    def of(cls, stats: Stats) -> Timings:
        """Return the timings of an answer."""
        computed = stats.prompt_tokens - stats.cached_tokens
        prompt_ms, answer_ms = 1000 * stats.prompt_seconds, 1000 * stats.generate_seconds
        count = stats.generated_tokens
        return cls(
            cache_n=stats.cached_tokens,
            prompt_n=computed,
            prompt_ms=prompt_ms,
            prompt_per_token_ms=prompt_ms / computed if computed else 0.0,
            prompt_per_second=1000 * computed / prompt_ms if prompt_ms else 0.0,
            predicted_n=count,
            predicted_ms=answer_ms,
            predicted_per_token_ms=answer_ms / count if count else 0.0,
            # The first token came with the prompt.
            predicted_per_second=1000 * max(0, count - 1) / answer_ms if answer_ms else 0.0,
        )


class PromptProgress(Struct):
    """Progress of reading a prompt, in tokens and milliseconds."""

    total: int
    cache: int
    processed: int
    time_ms: int

    @classmethod
    def of(cls, reading: PrefillProgress) -> PromptProgress:
        """Return the progress of a prompt."""
        return cls(
            total=reading.total,
            cache=reading.cached,
            processed=reading.processed,
            time_ms=round(1000 * reading.seconds),
        )


class LlamaServerGeneration(Sampling, kw_only=True):
    """llama-server's fields of requests for texts."""

    n_predict: Limit | None = None
    max_tokens: Limit | None = None
    n_probs: Top | None = None
    stream: bool | None = None
    return_tokens: bool | None = None
    return_progress: bool | None = None
    timings_per_token: bool | None = None
    response_fields: Annotated[list[Name], Meta(max_length=bounds.STOPS)] | None = None


class MediaText(Struct, kw_only=True):
    """A text, and what stands where its markers are, as base64."""

    prompt_string: str
    multimodal_data: Annotated[list[str], Meta(max_length=bounds.PARTS)] = []


class LlamaServerCompletionRequest(LlamaServerGeneration, kw_only=True):
    """A request to complete a text, with llama-server's fields."""

    prompt: Prompt | MediaText


class TokenProbability(Struct, kw_only=True, gc=False):
    """A generated token, its log-probability, and the most likely alternatives.

    After all samplers it is a probability.
    """

    id: int
    token: str
    bytes: list[int]
    logprob: float | UnsetType = UNSET
    top_logprobs: list[TokenProbability] | UnsetType = UNSET
    prob: float | UnsetType = UNSET
    top_probs: list[TokenProbability] | UnsetType = UNSET


class Completion(Struct, kw_only=True):
    """A completion, or one event of its stream."""

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
    schema_check: SchemaCheck | UnsetType = UNSET
    prompt_progress: PromptProgress | UnsetType = UNSET
    timings: Timings | UnsetType = UNSET


class TokenizeRequest(Struct, kw_only=True):
    """A text to tokenize."""

    content: str
    add_special: bool = False
    parse_special: bool = True
    with_pieces: bool = False


class TokenPiece(Struct, gc=False):
    """A token with its text, or with its bytes if they are not valid text."""

    id: int
    piece: str | list[int]


class Tokens(Struct):
    """The tokens of a text."""

    tokens: list[int | TokenPiece]


class DetokenizeRequest(Struct):
    """Tokens to turn into text."""

    tokens: list[int]


class Content(Struct):
    """The text of tokens."""

    content: str


class TemplateResponse(Struct):
    """The rendered prompt."""

    prompt: str


class Health(Struct, omit_defaults=True):
    """Whether the server is ready."""

    status: str
    fallback: str | None = None


class NextToken(Struct):
    """Progress of a slot's answer."""

    has_next_token: bool
    n_decoded: int


class SlotState(Struct):
    """The state of one slot."""

    id: int
    n_ctx: int
    is_processing: bool
    n_tokens: int
    next_token: NextToken


class GenerationDefaults(Struct):
    """The options of an answer that a request does not set."""

    n_ctx: int
    params: dict[str, Any]


class Program(Struct):
    """What this program is: names, versions, how it was built."""

    name: str
    greeting: str
    system: str
    licence: str
    version: str
    thinking: bool
    """Whether the model reasons before it answers, and can be told not to."""
    tools: str
    """How the model calls tools: `native` in its chat template's own form, `generic` in one that is
    described to it."""
    embeddings: bool
    devices: str
    """Where layers of the model are, and how many; empty for the processor alone."""
    documents: int
    """How many there are to answer from."""
    pieces: int
    """Into how many they are cut, to be found."""
    max_body: int
    """Bytes that a request may have."""
    fallback: str
    """The server that answers instead, empty when this one does."""


class Props(Struct, kw_only=True):
    """Properties of the server and its model."""

    default_generation_settings: GenerationDefaults
    total_slots: int
    model_alias: str
    model_path: str
    modalities: dict[str, bool]
    media_marker: str | UnsetType = UNSET
    """What stands for a picture or sound in a text that is to be completed."""
    capabilities: list[str] = []
    """What the model can do, in Ollama's words."""
    chat_template: str
    chat_template_caps: dict[str, bool]
    bos_token: str
    eos_token: str
    build_info: str
    is_sleeping: bool = False
    """Whether the model must be loaded again for the next request."""
    modelembed: Program
