"""Anthropic's Messages: answers in blocks, at once or streamed, and how long a prompt is.

llama-server has them as well. Where it does less than Anthropic's description asks for, that is
followed: blocks end in turn, a stop sequence is a reason of its own, as is a full context, a tool
can be named or none, thinking can be turned off, and what tools gave comes before what else a user
says.
"""

from __future__ import annotations

from functools import partial

from msgspec import UnsetType

from runtime.inference.stats import Stats
from runtime.inference.token_stream import TokenStream
from runtime.server.http.endpoint import WithHeaders
from runtime.server.http.http_error import naming
from runtime.server.protocols import openai_chat
from runtime.server.protocols.answer_parts import AnswerParts
from runtime.server.protocols.anthropic.message import (
    End,
    Event,
    Message,
    MessageDelta,
    MessageStart,
    MessageStop,
    MessageUsage,
    Ping,
    TokenCount,
)
from runtime.server.protocols.anthropic.plan import FIELDS, Plan, chat_request
from runtime.server.protocols.anthropic.requests import CountRequest, MessagesRequest
from runtime.server.protocols.anthropic.writer import BlockWriter
from runtime.server.protocols.streaming import Events, WholeAnswer, steps, value_count, whole
from runtime.server.service.bridge import Reader
from runtime.server.service.schema_report import SchemaCheck
from runtime.server.service.service import Service


async def create(service: Service, request: MessagesRequest) -> WithHeaders:
    """Answer a conversation."""
    # In a thread: a model's template may take as long as its budget.
    plan = await service.prepare(lambda: Plan.of(service, request), characters=0, slow=True)
    writer = BlockWriter(hides_thinking=request.hides_thinking)
    if request.stream:
        reader = await service.submit(plan.asked, pieces=True)
        return WithHeaders(_stream(service, plan, writer, reader), plan.headers)
    [answer] = await whole(service, plan.asked)
    return await service.prepare(
        lambda: _response(service, plan, writer, answer),
        characters=value_count(plan.asked, [answer]),
        slow=bool(plan.report.relaxed),  # it is checked
    )


async def count_tokens(service: Service, request: CountRequest) -> TokenCount:
    """Return how many tokens the prompt of a request has."""

    def count() -> TokenCount:
        chat, _ = chat_request(request)
        with naming(FIELDS):
            return TokenCount(openai_chat.prompt_size(service, chat))

    return await service.prepare(count, characters=0, slow=True)


def _response(
    service: Service, plan: Plan, writer: BlockWriter, answer: WholeAnswer
) -> WithHeaders:
    """Return the response of a complete answer."""
    parts = plan.new_answer()
    writer.write(parts.feed(answer.pieces, answer.stats, last=True))
    writer.close()
    end, usage, check = _ended(service, plan, parts, answer.stats)
    message = Message(
        id=plan.id,
        model=plan.model,
        content=writer.blocks,
        stop_reason=end.stop_reason,
        stop_sequence=end.stop_sequence,
        usage=usage,
        schema_check=check,
    )
    return WithHeaders(message, plan.headers)


async def _stream(service: Service, plan: Plan, writer: BlockWriter, reader: Reader) -> Events:
    with reader, service.track(reader):
        parts, begun = plan.new_answer(), False
        async for step in steps(service, reader, progress=True):
            stats, ended = step.stream.stats, step.stream.ended
            out: list[Event] = []
            if not begun:
                begun = True
                usage = _first_usage(plan, step.stream)
                out.append(MessageStart(message=Message(id=plan.id, model=plan.model, usage=usage)))
            if step.progress:
                out.append(Ping())
            out += writer.write(parts.feed(step.pieces, stats, last=ended))
            if ended:
                end, usage, check = await service.prepare(
                    partial(_ended, service, plan, parts, stats),
                    characters=len(parts.reasoning),
                    slow=bool(plan.report.relaxed),
                )
                out += writer.close()
                out += [MessageDelta(delta=end, usage=usage, schema_check=check), MessageStop()]
            if out:
                yield [*out]


def _first_usage(plan: Plan, stream: TokenStream) -> MessageUsage:
    """Return the usage when the message begins: by then it is known what was cached."""
    cached = stream.progress.cached if stream.progress else stream.stats.cached_tokens
    size = len(plan.asked.prompts[0])
    return MessageUsage(input_tokens=size - cached, cache_read_input_tokens=cached, output_tokens=0)


def _ended(
    service: Service, plan: Plan, parts: AnswerParts, stats: Stats
) -> tuple[End, MessageUsage, SchemaCheck | UnsetType]:
    """Return why an answer has ended, what it took, and whether it follows its schemas."""
    thinking = len(service.tokenize(parts.reasoning)) if parts.reasoning else 0
    service.log(plan.asked, parts.content)
    check = plan.report.check(parts.content, parts.called)
    return plan.end(parts, stats), MessageUsage.of(stats, thinking), check
