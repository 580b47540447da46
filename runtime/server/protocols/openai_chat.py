"""OpenAI's chat completions, at once or streamed, with tool calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import UNSET, Struct

from runtime.chat_format import reasoning, tool_calls
from runtime.errors import AppError
from runtime.options.registry import Options
from runtime.server.http.http_error import HTTPError, encode, http_error_of
from runtime.server.protocols.answer_parts import AnswerParts, NewParts
from runtime.server.protocols.llama_server_types import Timings
from runtime.server.protocols.messages import template_messages, template_tools
from runtime.server.protocols.openai_types import (
    AnswerMessage,
    ChatChoice,
    ChatChunk,
    ChatRequest,
    ChatResponse,
    ChunkChoice,
    Delta,
    Logprobs,
    NamedTool,
    ResponseFormat,
    Usage,
    stamp,
)
from runtime.server.protocols.sampling_fields import merged_options
from runtime.server.protocols.streaming import Events, steps, whole
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.bridge import Reader
from runtime.server.service.service import Service

NewAnswer = Callable[[], AnswerParts]
"""Returns an empty answer, to be read in the way that its prompt asks for."""


async def chat(service: Service, request: ChatRequest) -> ChatResponse | Events:
    """Answer a conversation."""
    asked, new_answer = await service.prepare(
        partial(_asked, service, request),
        characters=sum(len(message.content or "") for message in request.messages),
        slow=bool(
            request.tools
            or request.response_format
            or request.grammar
            or request.json_schema
            or any(isinstance(message.content, list) for message in request.messages)
        ),
    )
    if request.stream:
        reader = await service.submit(asked, pieces=True)
        return _stream(service, request, asked, new_answer, reader)
    answers = await whole(service, asked)
    choices = []
    for index, answer in enumerate(answers):
        parts = new_answer()
        parts.feed(answer.pieces, last=True)
        message = AnswerMessage(
            content=parts.content if parts.content or not parts.calls else None,
            reasoning_content=parts.reasoning or UNSET,
            tool_calls=parts.calls or UNSET,
        )
        choices.append(
            ChatChoice(
                index=index,
                message=message,
                logprobs=Logprobs.of(service.model, parts.chosen),
                finish_reason=parts.finish_reason(answer.stats),
            )
        )
        service.log(asked, parts.content)
    return ChatResponse(
        **stamp("chatcmpl", service.identity.alias),
        choices=choices,
        usage=Usage.of([answer.stats for answer in answers]),
        timings=Timings.of(answers[0].stats),
    )


async def _stream(
    service: Service,
    request: ChatRequest,
    asked: AnswerRequest,
    new_answer: NewAnswer,
    reader: Reader,
) -> Events:
    chunk = partial(
        ChatChunk,
        **stamp("chatcmpl", service.identity.alias),
        usage=None if request.include_usage else UNSET,
    )
    with reader, service.track(reader):
        answers = [new_answer() for _ in reader.streams]
        begun = [False] * len(answers)
        left = len(answers)
        async for step in steps(service, reader, progress=request.return_progress):
            index, stream, parts = step.index, step.stream, answers[step.index]
            out: list[Struct] = []
            if step.progress:
                out.append(chunk(choices=[], prompt_progress=step.progress))
            if not begun[index] and (step.pieces or stream.ended):
                begun[index] = True
                first = Delta(role="assistant", content=None)
                out.append(chunk(choices=[ChunkChoice(index=index, delta=first)]))
            new = parts.feed(step.pieces, last=stream.ended)
            if new:
                choice = ChunkChoice(
                    index=index,
                    delta=_delta(new),
                    logprobs=Logprobs.of(service.model, new.chosen),
                )
                timings = Timings.of(stream.stats) if request.timings_per_token else UNSET
                out.append(chunk(choices=[choice], timings=timings))
            if stream.ended:
                left -= 1
                reason = parts.finish_reason(stream.stats)
                end = ChunkChoice(index=index, delta=Delta(), finish_reason=reason)
                service.log(asked, parts.content)
                last = left == 0 and not request.include_usage
                timings = Timings.of(stream.stats) if last else UNSET
                out.append(chunk(choices=[end], timings=timings))
            if out:
                yield out
    if request.include_usage:
        stats = [stream.stats for stream in reader.streams]
        yield [chunk(choices=[], usage=Usage.of(stats), timings=Timings.of(stats[0]))]


def _delta(new: NewParts) -> Delta:
    return Delta(
        content=new.content or UNSET,
        reasoning_content=new.reasoning or UNSET,
        tool_calls=new.calls or UNSET,
    )


def _asked(service: Service, request: ChatRequest) -> tuple[AnswerRequest, NewAnswer]:
    """Return the answer request and how its answers begin; raise HTTPError if it is invalid."""
    limits = request.max_completion_tokens, request.max_tokens, request.n_predict
    options = merged_options(request, service.options, service.tokenize, *limits)
    options = _formatted(request.response_format, options)
    tools, call_format, options = _tools(service, request, options)
    # What is held to a grammar leaves no room for reasoning.
    held = bool(options.grammar or options.json_schema)
    prompt = service.prompt(
        template_messages(request.messages),
        tools=tools,
        variables=_template_variables(request, held=held),
        end_reasoning=service.markers if held else None,
    )
    if request.top_logprobs is not None and not request.logprobs:
        raise HTTPError(400, "'top_logprobs' needs 'logprobs' to be true", param="top_logprobs")
    asked = AnswerRequest(
        prompts=[prompt.tokens],
        options=options,
        count=request.n or 1,
        alternatives=(request.top_logprobs or 0) if request.logprobs else None,
    )
    return asked, partial(
        AnswerParts,
        markers=None if request.reasoning_format == "none" else service.markers,
        prompt_end=prompt.end,
        call_format=call_format,
    )


def _tools(
    service: Service, request: ChatRequest, options: Options
) -> tuple[list[dict[str, Any]], tool_calls.CallFormat | None, Options]:
    """Return the tools to show the model, its call format, and the options for that."""
    choice = request.tool_choice
    if not request.tools:
        if choice in (None, "none", "auto"):
            return [], None, options
        raise HTTPError(400, "'tool_choice' asks for a tool, 'tools' has none", param="tools")
    if choice == "none":
        return [], None, options
    if service.call_format is None:
        raise HTTPError(
            400,
            "this model's chat template has no place for tools, or one that is not known here",
            param="tools",
        )
    tools = template_tools(request.tools)
    options = dataclasses.replace(options, special=True)
    if choice in (None, "auto"):
        return tools, service.call_format, options
    if options.grammar or options.json_schema:
        raise HTTPError(
            400, "a tool that must be used leaves no room for another form", param="tool_choice"
        )
    forced = tools
    if isinstance(choice, NamedTool):
        forced = [tool for tool in tools if tool["function"]["name"] == choice.function.name]
        if not forced:
            raise HTTPError(400, f"there is no tool '{choice.function.name}'", param="tool_choice")
    try:
        grammar = tool_calls.grammar(service.call_format, forced)
    except AppError as exc:
        raise http_error_of(exc, param="tools") from exc
    return tools, service.call_format, dataclasses.replace(options, grammar=grammar)


def _formatted(wanted: ResponseFormat | None, options: Options) -> Options:
    """Return the options with the grammar of `response_format`."""
    if wanted is None or wanted.type == "text":
        return options
    schema: dict[str, Any] | bool | None = wanted.schema
    if wanted.type == "json_schema":
        if wanted.json_schema is None or wanted.json_schema.schema is None:
            raise HTTPError(
                400, "'response_format.json_schema.schema' is missing", param="response_format"
            )
        schema = wanted.json_schema.schema
    if options.grammar:
        raise HTTPError(
            400, "give a grammar or a response format, not both", param="response_format"
        )
    document = {} if isinstance(schema, bool) or schema is None else schema
    if not document:
        document = {"type": "object"}
    return dataclasses.replace(options, json_schema=encode(document).decode(), grammar="")


def _template_variables(request: ChatRequest, *, held: bool) -> dict[str, Any]:
    """Return the template variables that a request sets.

    An answer that is `held` to a grammar leaves no room for reasoning.
    """
    variables: dict[str, Any] = {}
    effort = request.reasoning_effort
    if effort is not None:
        variables["reasoning_effort"] = effort
    silent = effort == "none" or request.reasoning_budget == 0
    if silent or held or request.thinking_budget_tokens == 0:
        variables |= dict.fromkeys(reasoning.SWITCHES, False)
    return variables | (request.chat_template_kwargs or {})
