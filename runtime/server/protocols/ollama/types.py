"""Requests and responses of Ollama's API: https://github.com/ollama/ollama/blob/main/docs/api.md.

Unknown fields are ignored, as by Ollama. So are options of a model's loading: it is loaded already.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from runtime import bounds
from runtime.inference.stats import Stats
from runtime.inference.token_stream import SampledToken
from runtime.model.model import Model
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.llama_server_types import finite
from runtime.server.protocols.messages import Tool
from runtime.server.protocols.sampling_fields import Name, Stop, Stops, Top
from runtime.server.protocols.streaming import finish_reason
from runtime.server.service.schema_report import SchemaCheck

NANOSECONDS = 1_000_000_000
Format = Literal["", "json"] | dict[str, Any]
"""JSON of any form, or a schema."""
Thinking = bool | Literal["none", "minimal", "low", "medium", "high", "max"]
Whole = int | float
"""A whole number, which some clients write with a decimal point; the rest is cut off."""
KeepAlive = str | float
"""How long a model is to stay loaded: a time as `5m`, or seconds. This one always stays."""


class OllamaError(Struct):
    """The response to a failed request."""

    error: str


def error_of(problem: HTTPError) -> OllamaError:
    """Return an error as Ollama has it: a text."""
    return OllamaError(problem.message)


class OllamaOptions(Struct, kw_only=True):
    """Options of an answer; those not given are the server's."""

    num_predict: Whole | None = None
    num_keep: Whole | None = None
    temperature: float | None = None
    top_k: Whole | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_last_n: Whole | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    mirostat: Whole | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    seed: Whole | None = None
    stop: Stop | Stops | None = None


class OllamaFunction(Struct, kw_only=True):
    """A called function, and its arguments."""

    name: Name
    arguments: dict[str, Any] = {}
    index: int | UnsetType = UNSET


class OllamaCall(Struct, kw_only=True):
    """A call of a tool."""

    id: Name | UnsetType = UNSET
    function: OllamaFunction


Images = Annotated[list[str], Meta(max_length=bounds.PARTS)]


class OllamaMessage(Struct, kw_only=True):
    """A message of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: Images | None = None
    tool_calls: Annotated[list[OllamaCall], Meta(max_length=bounds.CALLS)] | None = None
    tool_name: Name | None = None
    tool_call_id: Name | None = None


class OllamaRequest(Struct, kw_only=True):
    """What requests for answers have in common."""

    model: Name = ""
    stream: bool | None = None
    format: Format | None = None
    options: OllamaOptions | None = None
    think: Thinking | None = None
    keep_alive: KeepAlive | None = None
    logprobs: bool | None = None
    top_logprobs: Top | None = None

    @property
    def streams(self) -> bool:
        """Whether the answer is streamed, as it is unless that is declined."""
        return self.stream is not False

    @property
    def unloads(self) -> bool:
        """Whether the model need not stay loaded."""
        return self.keep_alive in (0, "0", "0s")


class OllamaChatRequest(OllamaRequest, kw_only=True):
    """A request to answer a conversation."""

    messages: Annotated[list[OllamaMessage], Meta(max_length=bounds.MESSAGES)] = []
    tools: Annotated[list[Tool], Meta(max_length=bounds.TOOLS)] | None = None


class OllamaGenerateRequest(OllamaRequest, kw_only=True):
    """A request to answer one question, or to go on with a text."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: Images | None = None


class OllamaTop(Struct, kw_only=True, gc=False):
    """A likely token and its log-probability."""

    token: str
    logprob: float
    bytes: list[int]


class OllamaLogprob(OllamaTop, kw_only=True, gc=False):
    """A generated token, its log-probability, and the likeliest ones at its place."""

    top_logprobs: list[OllamaTop] | UnsetType = UNSET

    @classmethod
    def of(cls, model: Model, chosen: SampledToken) -> OllamaLogprob:
        """Return the log-probabilities of one token."""
        piece = model.piece(chosen.token, special=True)
        others: list[OllamaTop] = []
        for other in chosen.alternatives:
            data = model.piece(other.token, special=True)
            others.append(
                OllamaTop(token=_text(data), logprob=finite(other.logprob), bytes=list(data))
            )
        return cls(
            token=_text(piece),
            logprob=finite(chosen.logprob),
            bytes=list(piece),
            top_logprobs=others or UNSET,
        )


class OllamaAnswer(Struct, kw_only=True):
    """What a response, and each line of a stream, has beside the answer; the last has all."""

    model: str
    created_at: str
    done: bool = False
    done_reason: str | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET
    logprobs: list[OllamaLogprob] | UnsetType = UNSET
    schema_check: SchemaCheck | UnsetType = UNSET


class OllamaAnswerMessage(Struct, kw_only=True):
    """The assistant's message, or what is new of it."""

    role: str = "assistant"
    content: str = ""
    thinking: str | UnsetType = UNSET
    tool_calls: list[OllamaCall] | UnsetType = UNSET


class OllamaChatResponse(OllamaAnswer, kw_only=True):
    """The response to a conversation, or a line of it."""

    message: OllamaAnswerMessage


class OllamaGenerateResponse(OllamaAnswer, kw_only=True):
    """The response to a question, or a line of it."""

    response: str
    thinking: str | UnsetType = UNSET
    context: list[int] | UnsetType = UNSET
    """The tokens of the conversation so far, from which the next request can go on."""


def ending(stats: Stats) -> dict[str, Any]:
    """Return the fields that the last line has beside."""
    durations = stats.queue_seconds, stats.prompt_seconds, stats.generate_seconds
    return {
        "done": True,
        "done_reason": finish_reason(stats),
        "total_duration": nanoseconds(sum(durations)),
        "load_duration": 0,
        "prompt_eval_count": stats.prompt_tokens,
        "prompt_eval_duration": nanoseconds(stats.prompt_seconds),
        "eval_count": stats.generated_tokens,
        "eval_duration": nanoseconds(stats.generate_seconds),
    }


def nanoseconds(seconds: float) -> int:
    """Return a duration as Ollama has it."""
    return round(seconds * NANOSECONDS)


def timestamp(seconds: float | None = None) -> str:
    """Return a time since 1970, or now, as RFC 3339 has it."""
    time = datetime.now(timezone.utc)
    if seconds is not None:
        time = datetime.fromtimestamp(seconds, timezone.utc)
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _text(piece: bytes) -> str:
    return piece.decode("utf-8", "replace")
