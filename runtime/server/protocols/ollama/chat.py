"""Ollama's conversations, at once or streamed, with tool calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from runtime.inference.token_stream import SampledToken
from runtime.server.http.endpoint import WithHeaders
from runtime.server.http.http_error import naming
from runtime.server.protocols.ollama.chat_request import FIELDS, as_chat, chat_messages
from runtime.server.protocols.ollama.types import (
    OllamaAnswerMessage,
    OllamaCall,
    OllamaChatRequest,
    OllamaChatResponse,
    OllamaFunction,
    OllamaLogprob,
    ending,
    timestamp,
)
from runtime.server.protocols.openai_chat import NewAnswer, asked_for
from runtime.server.protocols.openai_types import CalledTool, ChatRequest
from runtime.server.protocols.streaming import Events, WholeAnswer, steps, value_count, whole
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.bridge import Reader
from runtime.server.service.schema_report import SchemaReport
from runtime.server.service.service import Service

Asked = tuple[AnswerRequest, NewAnswer, SchemaReport]
"""What is asked for, how an answer begins, and what it is held to."""


async def chat(service: Service, request: OllamaChatRequest) -> WithHeaders | OllamaChatResponse:
    """Answer a conversation; without messages, only say that the model is loaded."""
    if not request.messages:
        reason = "unload" if request.unloads else "load"
        return OllamaChatResponse(
            **stamp(service, request.model), message=OllamaAnswerMessage(), done=True,
            done_reason=reason,
        )  # fmt: skip
    # In a thread: a model's template may take as long as its budget.
    asked = await service.prepare(
        lambda: asked_of(
            service, as_chat(request, chat_messages(request.messages), tools=request.tools)
        ),
        characters=0,
        slow=True,
    )
    return await answered(
        service,
        asked,
        partial(_stream, service, request, *asked) if request.streams else None,
        partial(_response, service, request, *asked),
    )


async def answered(
    service: Service,
    asked: Asked,
    stream: Callable[[Reader], Events] | None,
    respond: Callable[[WholeAnswer], Struct],
) -> WithHeaders:
    """Answer what was asked: by `stream` line by line, or without one, by `respond` as a whole."""
    request, _, report = asked
    if stream:
        reader = await service.submit(request, pieces=True)
        return WithHeaders(stream(reader), report.headers())
    (answer,) = await whole(service, request)
    response = await service.prepare(
        lambda: respond(answer),
        characters=value_count(request, [answer]),
        slow=bool(report.relaxed),  # it is checked
    )
    return WithHeaders(response, report.headers())


def asked_of(service: Service, chat: ChatRequest) -> Asked:
    """Return what `asked_for` does; errors name the fields as Ollama does."""
    with naming(FIELDS):
        return asked_for(service, chat)


def stamp(service: Service, model: str) -> dict[str, Any]:
    """Return the fields that all lines of a response share; `model` is what was asked."""
    return {"model": model or service.identity.alias, "created_at": timestamp()}


def logprobs(service: Service, chosen: Iterable[SampledToken]) -> list[OllamaLogprob] | UnsetType:
    """Return the log-probabilities of tokens, UNSET if they were not requested."""
    return [OllamaLogprob.of(service.model, one) for one in chosen] or UNSET


def _response(
    service: Service,
    request: OllamaChatRequest,
    asked: AnswerRequest,
    new_answer: NewAnswer,
    report: SchemaReport,
    answer: WholeAnswer,
) -> OllamaChatResponse:
    parts = new_answer()
    parts.feed(answer.pieces, answer.stats, last=True)
    service.log(asked, parts.content)
    return OllamaChatResponse(
        **stamp(service, request.model),
        message=OllamaAnswerMessage(
            content=parts.content,
            thinking=parts.reasoning or UNSET,
            tool_calls=_calls(parts.calls, 0) or UNSET,
        ),
        logprobs=logprobs(service, parts.chosen),
        schema_check=report.check(parts.content, parts.called),
        **ending(answer.stats),
    )


async def _stream(
    service: Service,
    request: OllamaChatRequest,
    asked: AnswerRequest,
    new_answer: NewAnswer,
    report: SchemaReport,
    reader: Reader,
) -> Events:
    line = partial(OllamaChatResponse, model=request.model or service.identity.alias)
    with reader, service.track(reader):
        parts, told = new_answer(), 0
        async for step in steps(service, reader):
            out: list[Struct] = []
            new = parts.feed(step.pieces, step.stream.stats, last=step.stream.ended)
            # Calls are told as a whole: all but the one that is being written.
            end = len(parts.calls) if step.stream.ended else max(told, len(parts.calls) - 1)
            calls = _calls(parts.calls[told:end], told)
            told = end
            if new.content or new.reasoning or new.chosen or calls:
                message = OllamaAnswerMessage(
                    content=new.content, thinking=new.reasoning or UNSET, tool_calls=calls or UNSET
                )
                chosen = logprobs(service, new.chosen)
                out.append(line(created_at=timestamp(), message=message, logprobs=chosen))
            if step.stream.ended:
                service.log(asked, parts.content)
                last = line(
                    created_at=timestamp(),
                    message=OllamaAnswerMessage(),
                    schema_check=report.check(parts.content, parts.called),
                    **ending(step.stream.stats),
                )
                out.append(last)
            if out:
                yield out


def _calls(calls: Iterable[CalledTool], first: int) -> list[OllamaCall]:
    """Return calls, counted from `first`; one that was cut in its arguments is left out."""
    found = []
    for index, call in enumerate(calls, first):
        try:
            arguments = msgspec.json.decode(call.function.arguments or "{}")
        except msgspec.DecodeError:
            continue
        if not isinstance(arguments, dict):
            arguments = {"arguments": arguments}
        function = OllamaFunction(name=call.function.name or "", arguments=arguments, index=index)
        found.append(OllamaCall(id=call.id, function=function))
    return found
