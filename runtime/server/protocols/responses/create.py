"""OpenAI's Responses: answers as items, at once or streamed, and how long a prompt is.

llama-server has them as well. Where it does less than OpenAI's description asks for, that is
followed: events are numbered, items and their parts are told of in turn and have places, an answer
that is cut is incomplete, and responses repeat what they were asked for with. Calls keep the
identities that the model's template knows them by, without a `call_` before them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from runtime.inference.stats import Stats
from runtime.inference.token_stream import SampledToken
from runtime.server.http.endpoint import WithHeaders
from runtime.server.http.http_error import HTTPError, naming
from runtime.server.protocols import openai_chat
from runtime.server.protocols.answer_parts import AnswerParts
from runtime.server.protocols.openai_types import TokenLogprob
from runtime.server.protocols.responses import events
from runtime.server.protocols.responses.plan import FIELDS, Draft, Plan
from runtime.server.protocols.responses.requests import InputRequest, ResponsesRequest
from runtime.server.protocols.responses.response import (
    IncompleteDetails,
    InputTokens,
    Response,
    ResponseError,
    ResponseUsage,
)
from runtime.server.protocols.responses.store import ResponseStore
from runtime.server.protocols.responses.writer import OutputWriter, Telling
from runtime.server.protocols.streaming import (
    Events,
    WholeAnswer,
    finish_reason,
    steps,
    value_count,
    whole,
)
from runtime.server.service.bridge import Reader
from runtime.server.service.service import Service


class Responses:
    """The handlers of a server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        one = service.options.workers == 1  # others would not know what this one has stored
        self.store = ResponseStore() if one else None

    async def create(self, request: ResponsesRequest) -> WithHeaders:
        """Answer a request."""
        service = self._service
        # In a thread: a model's template may take as long as its budget.
        plan = await service.prepare(
            lambda: Plan.of(service, request, self.store), characters=0, slow=True
        )
        writer = OutputWriter(self._telling(request, plan))
        if request.stream:
            reader = await service.submit(plan.asked, pieces=True)
            return WithHeaders(self._stream(plan, writer, reader), plan.headers)
        [answer] = await whole(service, plan.asked)
        return await service.prepare(
            lambda: self._response(plan, writer, answer),
            characters=value_count(plan.asked, [answer]),
            slow=bool(plan.report.relaxed),  # it is checked
        )

    async def input_tokens(self, request: InputRequest) -> InputTokens:
        """Return how many tokens the prompt of a request has."""

        def count() -> InputTokens:
            draft = Draft.of(request, self.store)
            with naming(FIELDS):
                return InputTokens(openai_chat.prompt_size(self._service, draft.chat))

        return await self._service.prepare(count, characters=0, slow=True)

    def _telling(self, request: ResponsesRequest, plan: Plan) -> Telling:
        model = self._service.model

        def logprobs(chosen: Sequence[SampledToken]) -> list[TokenLogprob]:
            return [TokenLogprob.of(model, one) for one in chosen]

        summary, carries = request.wants_summary, request.carries_reasoning
        return Telling(plan.draft.box, summary, carries, logprobs)

    def _response(self, plan: Plan, writer: OutputWriter, answer: WholeAnswer) -> WithHeaders:
        """Return the response of a complete answer."""
        parts = plan.new_answer()
        # With log-probabilities by pieces, so that each is told with the part that it belongs to.
        groups = (
            [answer.pieces] if plan.asked.alternatives is None else [[p] for p in answer.pieces]
        )
        for pieces in groups[:-1]:
            writer.write(parts.feed(pieces, answer.stats, last=False))
        writer.write(parts.feed(groups[-1] if groups else [], answer.stats, last=True))
        writer.close("incomplete" if _is_cut(answer.stats) else "completed")
        return WithHeaders(self._ended(plan, writer, parts, answer.stats), plan.headers)

    async def _stream(self, plan: Plan, writer: OutputWriter, reader: Reader) -> Events:
        service = self._service
        begun = plan.response(status="in_progress")
        with reader, service.track(reader):
            yield [writer.event(kind, response=begun) for kind in BEGINNING]
            parts = plan.new_answer()
            out: list[events.Event]
            try:
                async for step in steps(service, reader):
                    stats, ended = step.stream.stats, step.stream.ended
                    out = writer.write(parts.feed(step.pieces, stats, last=ended))
                    if ended:
                        out += await service.prepare(
                            partial(self._end, plan, writer, parts, stats),
                            characters=len(parts.reasoning),
                            slow=bool(plan.report.relaxed),  # it is checked
                        )
                    if out:
                        yield [*out]
            except HTTPError as problem:
                error = ResponseError("server_error", problem.message)
                out = writer.close("incomplete")
                failed = plan.response(status="failed", output=writer.items, error=error)
                yield [*out, writer.event(events.Failed, response=failed)]

    def _end(
        self, plan: Plan, writer: OutputWriter, parts: AnswerParts, stats: Stats
    ) -> list[events.Event]:
        """Return the events of an answer's end."""
        cut = _is_cut(stats)
        out = writer.close("incomplete" if cut else "completed")
        response = self._ended(plan, writer, parts, stats)
        kind = events.Incomplete if cut else events.Completed
        return [*out, writer.event(kind, response=response)]

    def _ended(
        self, plan: Plan, writer: OutputWriter, parts: AnswerParts, stats: Stats
    ) -> Response:
        """Return the response of an answer that has ended; store it if it may be."""
        service = self._service
        cut = _is_cut(stats)
        reasoning = len(service.tokenize(parts.reasoning)) if parts.reasoning else 0
        response = plan.response(
            status="incomplete" if cut else "completed",
            completed_at=None if cut else int(time.time()),
            output=writer.items,
            usage=ResponseUsage.of(stats, reasoning),
            incomplete_details=IncompleteDetails("max_output_tokens") if cut else None,
            schema_check=plan.report.check(parts.content, parts.called),
        )
        service.log(plan.asked, parts.content)
        if self.store and response.store:
            draft = plan.draft
            self.store.keep(response, draft.given, writer.items, draft.before)
        return response


def _is_cut(stats: Stats) -> bool:
    return finish_reason(stats) == "length"


BEGINNING = (events.Created, events.InProgress)
"""The events of each stream before any item."""
