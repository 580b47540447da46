"""OpenAI's chat completions, at once or streamed, with tool calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, UnsetType, structs

from runtime.chat_format.answer_reader import ContentReader
from runtime.inference.stats import FinishReason, Stats
from runtime.inference.token_stream import Piece
from runtime.server.http.endpoint import WithHeaders
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.answer_parts import AnswerParts, NewParts
from runtime.server.protocols.documents import grounded_chat
from runtime.server.protocols.llama_server_types import Timings
from runtime.server.protocols.llamacpp.manner_fields import manner_of
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
from runtime.server.service.media_input import MediaInput
from runtime.server.service.schema_report import SchemaCheck, SchemaReport, together
from runtime.server.service.service import Service

if TYPE_CHECKING:
    from runtime.retrieval.grounding import Grounding

NewAnswer = Callable[[], AnswerParts]
"""Returns an empty answer, to be read in the form that its prompt asks for."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a request asks for."""

    request: AnswerRequest
    new_answer: NewAnswer
    report: SchemaReport
    """What answers are held to."""
    grounding: Grounding | None
    """What they are made from, None for the model's own knowledge."""
    told: str = ""
    """The answer where the model has no part in it; empty if it has."""


async def chat(service: Service, request: ChatRequest) -> WithHeaders:
    """Answer a conversation."""
    # In a thread: a model's template may take as long as its budget.
    asked = await service.prepare(lambda: _asked(service, request), characters=0, slow=True)
    if asked.told:
        if request.stream:
            return WithHeaders(_told(service, request, asked), {})
        said = WholeAnswer(Stats(reason=FinishReason.STOP), [Piece(asked.told)])
        return _response(service, asked, [said] * asked.request.count)
    if request.stream:
        reader = await service.submit(asked.request, pieces=True)
        return WithHeaders(_stream(service, request, asked, reader), asked.report.headers())
    answers = await whole(service, asked.request)
    return await service.prepare(
        lambda: _response(service, asked, answers),
        characters=value_count(asked.request, answers),
        slow=bool(asked.report.relaxed),  # they are checked
    )


def _response(service: Service, asked: Asked, answers: Sequence[WholeAnswer]) -> WithHeaders:
    """Return the response of complete answers."""
    choices, checks, citations = [], [], []
    for index, answer in enumerate(answers):
        parts = asked.new_answer()
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
        checks.append(asked.report.check(parts.content, parts.called))
        citations.append(parts.citations)
        service.log(asked.request, parts.content)
    response = ChatResponse(
        **stamp("chatcmpl", service.identity.alias),
        choices=choices,
        usage=Usage.of([answer.stats for answer in answers]),
        timings=Timings.of(answers[0].stats),
        schema_check=together(checks),
        sources=grounded_chat.sources(asked.grounding, citations),
        removed_citations=grounded_chat.removed(asked.grounding, citations),
    )
    return WithHeaders(response, asked.report.headers())


def _chunk(service: Service, request: ChatRequest) -> Callable[..., ChatChunk]:
    """Return what makes the events of a stream."""
    return partial(
        ChatChunk,
        **stamp("chatcmpl", service.identity.alias),
        usage=None if request.include_usage else UNSET,
    )


async def _told(service: Service, request: ChatRequest, asked: Asked) -> Events:
    """Stream answers that the model has no part in."""
    chunk = _chunk(service, request)
    deltas = (Delta(role="assistant", content=None), Delta(content=asked.told))
    for index in range(asked.request.count):
        yield [chunk(choices=[ChunkChoice(index=index, delta=delta)]) for delta in deltas]
        last = index == asked.request.count - 1
        end = ChunkChoice(index=index, delta=Delta(), finish_reason="stop")
        yield [chunk(choices=[end], sources=[] if last else UNSET)]
        service.log(asked.request, asked.told)
    if request.include_usage:
        yield [chunk(choices=[], usage=Usage.of([Stats()]), timings=Timings.of(Stats()))]


async def _stream(service: Service, request: ChatRequest, asked: Asked, reader: Reader) -> Events:
    chunk = _chunk(service, request)
    with reader, service.track(reader):
        answers = [asked.new_answer() for _ in reader.streams]
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
                service.log(asked.request, parts.content)
                ending = chunk(choices=[end])
                if left == 0 and not request.include_usage:
                    ending.timings = Timings.of(stream.stats)
                    ending.schema_check = _checked(asked.report, answers)
                if left == 0:
                    citations = [answer.citations for answer in answers]
                    ending.sources = grounded_chat.sources(asked.grounding, citations)
                    ending.removed_citations = grounded_chat.removed(asked.grounding, citations)
                out.append(ending)
            if out:
                yield out
    if request.include_usage:
        stats = [stream.stats for stream in reader.streams]
        check = _checked(asked.report, answers)
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


def prompt_size(service: Service, request: ChatRequest) -> int:
    """Return how many tokens the prompt of a conversation has; raise as `asked_for` does."""
    asked, _, _ = asked_for(service, request)
    return len(asked.prompts[0])


def asked_for(
    service: Service, request: ChatRequest
) -> tuple[AnswerRequest, NewAnswer, SchemaReport]:
    """Return the answer request of another protocol, how its answers begin, and are held to.

    They are the model's own: no other protocol tells sources. Raise HTTPError if it is invalid.
    """
    asked = _asked(service, structs.replace(request, documents=False))
    return asked.request, asked.new_answer, asked.report


def _asked(service: Service, request: ChatRequest) -> Asked:
    """Return what a request asks for; raise HTTPError if it is invalid."""
    limits = request.max_completion_tokens, request.max_tokens, request.n_predict
    options = merged_options(request, service.options, service.tokenize, *limits)
    grammar, schema = with_format(request, options)
    media = MediaInput(service.model.projector, service.web_pictures)
    inputs = template_inputs(request, options, media, grammar=grammar, schema=schema)
    prompt = service.prompt(inputs)
    if request.top_logprobs is not None and not request.logprobs:
        raise HTTPError(400, "'top_logprobs' needs 'logprobs' to be true", param="top_logprobs")
    grounding = grounded_chat.ground(service, inputs, prompt, options, request.documents)
    if grounding and grounding.sources:
        prompt = service.prompt(grounded_chat.grounded(inputs, grounding))
    asked = AnswerRequest(
        prompts=[prompt.tokens],
        options=dataclasses.replace(
            options, grammar=grammar, json_schema=schema, stop=(*options.stop, *prompt.stops)
        ),
        form=prompt.form,
        count=request.n or 1,
        alternatives=(request.top_logprobs or 0) if request.logprobs else None,
        manner=manner_of(service, request),
    )
    report = SchemaReport.of(schema, inputs)
    if grounding and not grounding.sources:
        told = grounding.language.nothing
        return Asked(asked, lambda: AnswerParts(ContentReader()), report, grounding, told)

    def new_answer() -> AnswerParts:
        return AnswerParts(prompt.reader(), grounding.citations() if grounding else None)

    return Asked(asked, new_answer, report, grounding)
