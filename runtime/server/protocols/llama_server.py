"""llama-server's endpoints: completion, tokens, templates, health, properties, slots, metrics."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType

from runtime import __version__
from runtime.inference.stats import Stats
from runtime.inference.token_stream import Piece, SampledToken
from runtime.options.registry import Options
from runtime.server.http.endpoint import Text, WithHeaders
from runtime.server.http.http_error import HTTPError, encode
from runtime.server.protocols.llama_server_types import (
    Completion,
    Content,
    DetokenizeRequest,
    GenerationDefaults,
    Health,
    LlamaServerCompletionRequest,
    NextToken,
    Program,
    Props,
    SlotState,
    TemplateResponse,
    Timings,
    TokenizeRequest,
    TokenPiece,
    TokenProbability,
    Tokens,
    finite,
)
from runtime.server.protocols.openai_types import ChatRequest
from runtime.server.protocols.sampling_fields import option_fields
from runtime.server.protocols.streaming import (
    Events,
    WholeAnswer,
    chosen_in,
    steps,
    text_of,
    value_count,
    whole,
)
from runtime.server.protocols.template_inputs import template_inputs
from runtime.server.protocols.text_completion import text_request
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.bridge import Reader
from runtime.server.service.schema_report import SchemaReport
from runtime.server.service.service import Service

JSON = "application/json"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


async def completion(service: Service, request: LlamaServerCompletionRequest) -> WithHeaders:
    """Complete texts, at once or streamed."""
    asked, texts, report = await text_request(
        service, request, alternatives=request.n_probs or None
    )
    if request.stream:
        reader = await service.submit(asked, pieces=True)
        events = _stream(service, request, asked.options, texts, report, reader)
        return WithHeaders(events, report.headers())
    answers = await whole(service, asked)
    return await service.prepare(
        lambda: _response(service, request, asked, texts, report, answers),
        characters=value_count(asked, answers),
        slow=bool(report.relaxed),  # they are checked
    )


def _response(
    service: Service,
    request: LlamaServerCompletionRequest,
    asked: AnswerRequest,
    texts: Sequence[str],
    report: SchemaReport,
    answers: Sequence[WholeAnswer],
) -> WithHeaders:
    """Return the response of complete answers."""
    found = []
    for index, answer in enumerate(answers):
        last = _last(service, asked.options, texts[index], answer.stats, index, answer.pieces)
        last.content = answer.text
        last.schema_check = report.check(answer.text)
        if request.return_tokens:
            last.tokens = _tokens(answer.pieces)
        last.completion_probabilities = _probabilities(service, answer.pieces)
        service.log(asked, answer.text)
        found.append(last)
    return WithHeaders(found[0] if len(found) == 1 else found, report.headers())


async def _stream(
    service: Service,
    request: LlamaServerCompletionRequest,
    options: Options,
    texts: Sequence[str],
    report: SchemaReport,
    reader: Reader,
) -> Events:
    with reader, service.track(reader):
        collected: list[list[Piece]] = [[] for _ in reader.streams]
        async for step in steps(service, reader, progress=request.return_progress):
            index, stats = step.index, step.stream.stats
            collected[index] += step.pieces
            out: list[Struct] = []
            if step.pieces or step.progress:
                part = Completion(
                    index=index,
                    content=step.text,
                    tokens=_tokens(step.pieces),
                    stop=False,
                    tokens_predicted=stats.generated_tokens,
                    tokens_evaluated=stats.prompt_tokens,
                    completion_probabilities=_probabilities(service, step.pieces),
                    prompt_progress=step.progress or UNSET,
                    timings=Timings.of(stats) if request.timings_per_token else UNSET,
                )
                out.append(part)
            if step.stream.ended:
                last = _last(service, options, texts[index], stats, index, collected[index])
                last.schema_check = report.check(text_of(collected[index]))
                out.append(last)
            if out:
                yield out


def _last(
    service: Service,
    options: Options,
    prompt: str,
    stats: Stats,
    index: int,
    pieces: Sequence[Piece],
) -> Completion:
    """Return the last event of a stream, which has statistics and no text."""
    kinds = {"stop": "word" if stats.stopped_by else "eos", "length": "limit", "context": "limit"}
    return Completion(
        index=index,
        content="",
        tokens=[],
        stop=True,
        tokens_predicted=stats.generated_tokens,
        tokens_evaluated=stats.prompt_tokens,
        model=service.identity.alias,
        generation_settings=option_fields(options),
        prompt=prompt,
        has_new_line=any("\n" in piece.text for piece in pieces),
        truncated=stats.reason == "context",
        stop_type=kinds.get(stats.reason, "none"),
        stopping_word=stats.stopped_by,
        tokens_cached=stats.cached_tokens,
        timings=Timings.of(stats),
    )


def _tokens(pieces: Sequence[Piece]) -> list[int]:
    return [token for piece in pieces for token in piece.tokens]


def _probabilities(service: Service, pieces: Sequence[Piece]) -> list[TokenProbability] | UnsetType:
    return [_probability(service, one) for one in chosen_in(pieces)] or UNSET


def _probability(service: Service, chosen: SampledToken) -> TokenProbability:
    def one(token: int, logprob: float) -> TokenProbability:
        data = service.model.piece(token, special=True)
        return TokenProbability(
            id=token,
            token=data.decode("utf-8", "replace"),
            bytes=list(data),
            logprob=finite(logprob),
        )

    found = one(chosen.token, chosen.logprob)
    found.top_logprobs = [one(other.token, other.logprob) for other in chosen.alternatives]
    return found


async def tokenize(service: Service, request: TokenizeRequest) -> Tokens | Text:
    """Tokenize a text."""

    def cut() -> Tokens | Text:
        tokens = service.model.tokenize(
            request.content, beginning=request.add_special, special=request.parse_special
        )
        if not request.with_pieces:
            return Tokens([*tokens])
        # Each is written by itself: millions at once would hold up all other requests.
        pieces = [encode(TokenPiece(token, _piece(service, token))).decode() for token in tokens]
        return Text(f'{{"tokens":[{",".join(pieces)}]}}', JSON)

    return await service.prepare(cut, characters=0, slow=True)


def _piece(service: Service, token: int) -> str | list[int]:
    data = service.model.piece(token, special=True)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


async def detokenize(service: Service, request: DetokenizeRequest) -> Content:
    """Return the text of tokens."""

    def join() -> Content:
        tokens = service.tokens_of(request.tokens, param="tokens")[0] if request.tokens else []
        data = b"".join(service.model.piece(token, special=True) for token in tokens)
        return Content(data.decode("utf-8", "replace"))

    return await service.prepare(join, characters=0, slow=True)


async def apply_template(service: Service, request: ChatRequest) -> TemplateResponse:
    """Render a conversation with the chat template."""

    def render() -> TemplateResponse:
        return TemplateResponse(service.render(template_inputs(request, service.options)))

    return await service.prepare(render, characters=0, slow=True)


async def health(service: Service) -> Health:
    """Return whether the server is ready."""
    if service.stopping:
        raise HTTPError(503, "the server is stopping")
    return Health("ok")


async def props(service: Service) -> Props:
    """Return properties of the server and its model."""
    model, options = service.model, service.options
    return Props(
        default_generation_settings=GenerationDefaults(
            service.scheduler.context_size, option_fields(options)
        ),
        total_slots=options.parallel,
        model_alias=service.identity.alias,
        model_path=service.source.label,
        modalities={"vision": False, "audio": False},
        chat_template=service.template_text,
        chat_template_caps=dict(service.template.capabilities),
        bos_token=model.bos,
        eos_token=model.eos,
        build_info=f"modelembed {__version__}",
        modelembed=Program(
            name=service.identity.name,
            greeting=options.greeting,
            system=options.system,
            licence=service.identity.licence,
            version=__version__,
            thinking=service.template.thinks,
            tools="native" if service.template.calls_tools else "generic",
            embeddings=service.embedder.possible,
            fallback="",
        ),
    )


async def slots(service: Service) -> list[SlotState]:
    """Return the state of each slot."""
    return [
        SlotState(
            slot.number,
            service.scheduler.context_size,
            slot.busy,
            slot.held,
            NextToken(slot.busy, slot.stats.generated_tokens if slot.stats else 0),
        )
        for slot in service.scheduler.status().slots
    ]


async def metrics(service: Service) -> Text:
    """Return the metrics in Prometheus' text format."""
    status = service.scheduler.status()
    service.metrics.set("decoded", status.steps)
    service.metrics.set("busy", status.busy_steps)
    service.metrics.set("deferred", status.waiting)
    return Text(service.metrics.text(), PROMETHEUS)
