"""Ollama's requests in the terms of chat completions, which are answered the same way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET

from runtime import bounds
from runtime.server.protocols.messages import (
    ChatMessage,
    FunctionCall,
    PlacedPart,
    TextPart,
    ToolCall,
)
from runtime.server.protocols.ollama.types import (
    OllamaCall,
    OllamaMessage,
    OllamaOptions,
    OllamaRequest,
)
from runtime.server.protocols.openai_types import ChatRequest, JsonSchema, ResponseFormat

SAME = (
    "temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty",
    "frequency_penalty", "mirostat_tau", "mirostat_eta", "stop",
)  # fmt: skip
WHOLE = ("top_k", "repeat_last_n", "mirostat", "seed")
"""Options that chat completions know by the same names."""
FIELDS = {
    "response_format.*": "format",
    "max_tokens": "options.num_predict",
} | {f"^{name}$": f"options.{name}" for name in (*SAME, *WHOLE)}
"""Fields of requests here, by patterns of those of a chat's."""


def as_chat(request: OllamaRequest, messages: Iterable[ChatMessage], **more: Any) -> ChatRequest:
    """Return a request for a chat completion with the fields of `request`."""
    thinks = False if request.think == "none" else request.think
    variables: dict[str, Any] = {} if thinks is None else {"enable_thinking": thinks is not False}
    return ChatRequest(
        messages=[*messages],
        response_format=_format(request),
        chat_template_kwargs=variables,
        reasoning_effort=thinks if isinstance(thinks, str) else None,
        logprobs=request.logprobs,
        top_logprobs=request.top_logprobs if request.logprobs else None,
        **_sampling(request.options or OllamaOptions()),
        **more,
    )


def chat_messages(messages: Sequence[OllamaMessage]) -> list[ChatMessage]:
    """Return a conversation. Pictures come before the text of their message, as Ollama has it.

    Calls that have no identity get one, and what tools answered gets that of its call: the first
    of that name, or of any, that has no answer yet.
    """
    found: list[ChatMessage] = []
    open_calls: list[ToolCall] = []
    for index, message in enumerate(messages):
        calls = [_call(call, f"call_{index}_{place}")
                 for place, call in enumerate(message.tool_calls or ())]  # fmt: skip
        open_calls += calls
        identity = message.tool_call_id
        if message.role == "tool":
            answered = _answered(message, open_calls)
            identity = answered.id if answered else identity
            open_calls = [call for call in open_calls if call is not answered]
        found.append(
            ChatMessage(
                role=message.role,
                content=with_images(
                    message.content or "", message.images, f"messages[{index}].images"
                ),
                reasoning_content=message.thinking,
                name=message.tool_name,
                tool_calls=calls or None,
                tool_call_id=identity,
            )
        )
    return found


def with_images(text: str, images: Sequence[str] | None, field: str) -> str | list[TextPart]:
    """Return the content of a message with pictures, which are base64 in the `field` named."""
    if not images:
        return text
    pictures = [
        PlacedPart("image_url", image_url=image, where=f"{field}[{place}]")
        for place, image in enumerate(images)
    ]
    return [*pictures, *[TextPart("text", text)] * bool(text)]


def _call(call: OllamaCall, identity: str) -> ToolCall:
    function = FunctionCall(call.function.name, call.function.arguments)
    return ToolCall(function, identity if call.id is UNSET else str(call.id))


def _answered(message: OllamaMessage, calls: Sequence[ToolCall]) -> ToolCall | None:
    """Return the call that a tool's message answers."""
    if message.tool_call_id:
        return next((call for call in calls if call.id == message.tool_call_id), None)
    named = [call for call in calls if call.function.name == message.tool_name]
    return next(iter([*named, *calls]), None)


def _format(request: OllamaRequest) -> ResponseFormat | None:
    if not request.format and request.format != {}:
        return None
    if isinstance(request.format, dict):
        return ResponseFormat("json_schema", JsonSchema(request.format))
    return ResponseFormat("json_object")


def _sampling(options: OllamaOptions) -> dict[str, Any]:
    """Return the options by the names that chat completions have for them."""
    found = {name: getattr(options, name) for name in SAME}
    found |= {name: whole(getattr(options, name)) for name in WHOLE}
    limit = whole(options.num_predict)
    if limit is not None:  # negative ones stand for no limit, zero as well
        found["max_tokens"] = min(limit, bounds.INTEGER) if limit > 0 else -1
    return found


def whole(value: float | None) -> int | None:
    """Return a number without what is behind its decimal point."""
    return None if value is None else int(value)
