"""OpenAI's chat completions, at once or streamed, with tool calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import UNSET, Struct, UnsetType

from runtime.server.http.endpoint import WithHeaders
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.answer_parts import AnswerParts, NewParts
from runtime.server.protocols.llama_server_types import Timings
from runtime.server.protocols.openai_types import (
    AnswerMessage,
    ChatChoice,
    ChatChunk,
    ChatRequest,
    ChatResponse,
    ChunkChoice,
    Delta,
    Logprobs,
    Usage,
    stamp,
)
from runtime.server.protocols.sampling_fields import merged_options
from runtime.server.protocols.streaming import Events, WholeAnswer, steps, value_count, whole
from runtime.server.protocols.template_inputs import template_inputs, with_format
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.bridge import Reader
from runtime.server.service.schema_report import SchemaCheck, SchemaReport, together
from runtime.server.service.service import Service

NewAnswer = Callable[[], AnswerParts]
"""Returns an empty answer, to be read in the form that its prompt asks for."""


async def chat(service: Service, request: ChatRequest) -> WithHeaders:
    """Answer a conversation."""
    # In a thread: a model's template may take as long as its budget.
    asked, new_answer, report = await service.prepare(
        lambda: _asked(service, request), characters=0, slow=True
    )
    if request.stream:
        reader = await service.submit(asked, pieces=True)
        events = _stream(service, request, asked, new_answer, report, reader)
        return WithHeaders(events, report.headers())
    answers = await whole(service, asked)
    return await service.prepare(
        lambda: _response(service, asked, new_answer, report, answers),
        characters=value_count(asked, answers),
        slow=bool(report.relaxed),  # they are checked
    )


def _response(
    service: Service,
    asked: AnswerRequest,
    new_answer: NewAnswer,
    report: SchemaReport,
    answers: Sequence[WholeAnswer],
) -> WithHeaders:
    """Return the response of complete answers."""
    choices, checks = [], []
    for index, answer in enumerate(answers):
        parts = new_answer()
        parts.feed(answer.pieces, answer.stats, last=True)
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
        checks.append(report.check(parts.content, parts.called))
        service.log(asked, parts.content)
    response = ChatResponse(
        **stamp("chatcmpl", service.identity.alias),
        choices=choices,
        usage=Usage.of([answer.stats for answer in answers]),
        timings=Timings.of(answers[0].stats),
        schema_check=together(checks),
    )
    return WithHeaders(response, report.headers())


async def _stream(
    service: Service,
    request: ChatRequest,
    asked: AnswerRequest,
    new_answer: NewAnswer,
    report: SchemaReport,
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
            new = parts.feed(step.pieces, stream.stats, last=stream.ended)
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
                check = _checked(report, answers) if last else UNSET
                out.append(chunk(choices=[end], timings=timings, schema_check=check))
            if out:
                yield out
    if request.include_usage:
        stats = [stream.stats for stream in reader.streams]
        check = _checked(report, answers)
        usage, timings = Usage.of(stats), Timings.of(stats[0])
        yield [chunk(choices=[], usage=usage, timings=timings, schema_check=check)]


def _checked(report: SchemaReport, answers: Sequence[AnswerParts]) -> SchemaCheck | UnsetType:
    return together([report.check(parts.content, parts.called) for parts in answers])


def _delta(new: NewParts) -> Delta:
    return Delta(
        content=new.content or UNSET,
        reasoning_content=new.reasoning or UNSET,
        tool_calls=new.calls or UNSET,
    )


def _asked(service: Service, request: ChatRequest) -> tuple[AnswerRequest, NewAnswer, SchemaReport]:
    """Return the answer request, how its answers begin, and what they are held to.

    Raise HTTPError if it is invalid.
    """
    limits = request.max_completion_tokens, request.max_tokens, request.n_predict
    options = merged_options(request, service.options, service.tokenize, *limits)
    grammar, schema = with_format(request, options)
    inputs = template_inputs(request, options, grammar=grammar, schema=schema)
    prompt = service.prompt(inputs)
    if request.top_logprobs is not None and not request.logprobs:
        raise HTTPError(400, "'top_logprobs' needs 'logprobs' to be true", param="top_logprobs")
    asked = AnswerRequest(
        prompts=[prompt.tokens],
        options=dataclasses.replace(
            options, grammar=grammar, json_schema=schema, stop=(*options.stop, *prompt.stops)
        ),
        form=prompt.form,
        count=request.n or 1,
        alternatives=(request.top_logprobs or 0) if request.logprobs else None,
    )
    return asked, lambda: AnswerParts(prompt.reader()), SchemaReport.of(schema, inputs)
