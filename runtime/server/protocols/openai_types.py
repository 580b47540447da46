"""OpenAI's requests and answers: https://platform.openai.com/docs/api-reference.

Fields that are not listed are ignored, as OpenAI does. What llama-server adds is taken, too:
https://github.com/ggml-org/llama.cpp/tree/master/tools/server.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from runtime.server.protocols.sampling_fields import Count, Limit, Sampling

TOP_MAX = 20
Top = Annotated[int, Meta(ge=0, le=TOP_MAX)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class TextPart(Struct):
    """A part of a message; only those of text can be read."""

    type: str
    text: str | None = None


class FunctionCall(Struct):
    """Which function a model called, with its arguments as JSON."""

    name: str
    arguments: str | dict[str, Any] = "{}"


class ToolCall(Struct):
    """A call of a tool, in a message of the assistant."""

    function: FunctionCall
    id: str | None = None
    type: str = "function"


class ChatMessage(Struct, kw_only=True):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None
    reasoning_content: str | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class Function(Struct):
    """A function that the model may call."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct):
    """A tool that the model may use."""

    function: Function
    type: Literal["function"] = "function"


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


Prompt = str | list[str | int | list[int]]
"""A text, texts, tokens, or several lists of tokens."""


class CompletionRequest(Generation, kw_only=True):
    """A text to go on with."""

    prompt: Prompt
    suffix: str | None = None
    echo: bool | None = None
    best_of: Count | None = None
    logprobs: Top | bool | None = None


class EmbeddingRequest(Struct, kw_only=True):
    """Texts to turn into vectors."""

    input: str | list[str | int | list[int]]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None


class PromptDetails(Struct):
    """How much of the prompt was there already."""

    cached_tokens: int


class Usage(Struct):
    """What a request cost, in tokens."""

    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class Timings(Struct):
    """How fast an answer was made, as llama-server tells it; milliseconds."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float


class PromptProgress(Struct):
    """How far a prompt has been read, in tokens and milliseconds."""

    total: int
    cache: int
    processed: int
    time_ms: int


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


class Logprobs(Struct):
    """How likely the tokens of a chat's answer were."""

    content: list[TokenLogprob]
    refusal: None = None


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


class Embedding(Struct, kw_only=True):
    """A vector, as numbers or as base64 of little-endian 32-bit floats."""

    object: str = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Struct):
    """What embeddings cost, in tokens."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(Struct, kw_only=True):
    """Vectors, in the order of the texts."""

    object: str = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class ModelMeta(Struct, kw_only=True):
    """What llama-server says of a model."""

    n_vocab: int
    n_ctx: int
    n_ctx_train: int
    n_params: int
    size: int


class ModelCard(Struct, kw_only=True):
    """A model."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "modelembed"
    meta: ModelMeta | UnsetType = UNSET


class ModelList(Struct, kw_only=True):
    """The models that there are: one."""

    object: str = "list"
    data: list[ModelCard]
