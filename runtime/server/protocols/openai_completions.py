"""OpenAI's text completions, at once or streamed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec import UNSET

from runtime.inference.token_stream import Piece
from runtime.server.http.endpoint import WithHeaders
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.llama_server_types import Timings
from runtime.server.protocols.openai_types import (
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
    CompletionResponse,
    TokenLogprob,
    TopLogprob,
    Usage,
    stamp,
)
from runtime.server.protocols.streaming import (
    Events,
    WholeAnswer,
    chosen_in,
    finish_reason,
    steps,
    value_count,
    whole,
)
from runtime.server.protocols.text_completion import text_request
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.bridge import Reader
from runtime.server.service.schema_report import SchemaReport, together
from runtime.server.service.service import Service


async def completion(service: Service, request: CompletionRequest) -> WithHeaders:
    """Complete texts."""
    count = request.n or 1
    if request.best_of and request.best_of > count:
        raise HTTPError(400, "'best_of' beyond 'n' is not supported", param="best_of")
    wanted = request.logprobs
    alternatives = None if wanted is None or wanted is False else int(wanted)
    asked, texts, report = await text_request(
        service,
        request,
        request.prompt,
        count=count,
        alternatives=alternatives,
        suffix=request.suffix or None,
    )
    echoes = [text if request.echo else "" for text in texts for _ in range(count)]
    if request.stream:
        reader = await service.submit(asked, pieces=True)
        events = _stream(service, request, echoes, report, reader)
        return WithHeaders(events, report.headers())
    answers = await whole(service, asked)
    return await service.prepare(
        lambda: _response(service, asked, echoes, report, answers),
        characters=value_count(asked, answers),
        slow=bool(report.relaxed),  # they are checked
    )


def _response(
    service: Service,
    asked: AnswerRequest,
    echoes: Sequence[str],
    report: SchemaReport,
    answers: Sequence[WholeAnswer],
) -> WithHeaders:
    """Return the response of complete answers."""
    choices = []
    for index, (echo, answer) in enumerate(zip(echoes, answers, strict=True)):
        service.log(asked, answer.text)
        choices.append(
            CompletionChoice(
                index=index,
                text=echo + answer.text,
                logprobs=_logprobs(service, answer.pieces, len(echo)),
                finish_reason=finish_reason(answer.stats),
            )
        )
    response = CompletionResponse(
        **stamp("cmpl", service.identity.alias),
        choices=choices,
        usage=Usage.of([answer.stats for answer in answers], asked.count),
        timings=Timings.of(answers[0].stats),
        schema_check=together([report.check(answer.text) for answer in answers]),
    )
    return WithHeaders(response, report.headers())


async def _stream(
    service: Service,
    request: CompletionRequest,
    echoes: Sequence[str],
    report: SchemaReport,
    reader: Reader,
) -> Events:
    chunk = partial(
        CompletionResponse,
        **stamp("cmpl", service.identity.alias),
        usage=None if request.include_usage else UNSET,
    )
    with reader, service.track(reader):
        lengths = [0] * len(reader.streams)
        written = [""] * len(reader.streams)
        left = len(reader.streams)
        begun = [False] * len(reader.streams)
        async for step in steps(service, reader, progress=request.return_progress):
            index, stream = step.index, step.stream
            if step.progress:
                yield [chunk(choices=[], prompt_progress=step.progress)]
            if not step.pieces and not stream.ended:
                continue
            text = step.text if begun[index] else echoes[index] + step.text
            begun[index] = True
            choice = CompletionChoice(
                index=index,
                text=text,
                logprobs=_logprobs(service, step.pieces, lengths[index]),
                finish_reason=finish_reason(stream.stats) if stream.ended else None,
            )
            lengths[index] += len(text)
            written[index] += step.text
            left -= stream.ended
            timings = Timings.of(stream.stats) if stream.ended else UNSET
            last = left == 0 and not request.include_usage
            check = together([report.check(one) for one in written]) if last else UNSET
            yield [chunk(choices=[choice], timings=timings, schema_check=check)]
    if request.include_usage:
        check = together([report.check(one) for one in written])
        usage = Usage.of([stream.stats for stream in reader.streams], request.n or 1)
        yield [chunk(choices=[], usage=usage, schema_check=check)]


def _logprobs(service: Service, pieces: Sequence[Piece], begin: int) -> CompletionLogprobs | None:
    """Return the log-probabilities of tokens, the first of which begins at character `begin`."""
    found = [TokenLogprob.of(service.model, one) for one in chosen_in(pieces)]
    if not found:
        return None
    offsets = []
    for one in found:
        offsets.append(begin)
        begin += len(one.token)
    return CompletionLogprobs(
        tokens=[one.token for one in found],
        token_logprobs=[one.logprob for one in found],
        top_logprobs=[_by_text(one.top_logprobs) for one in found],
        text_offset=offsets,
    )


def _by_text(likeliest: Sequence[TopLogprob]) -> dict[str, float]:
    """Return log-probabilities by what is shown; parts of characters are shown alike."""
    found: dict[str, float] = {}
    for one in likeliest:  # the likeliest first
        found.setdefault(one.token, one.logprob)
    return found
