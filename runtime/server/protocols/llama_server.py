"""llama-server's endpoints: completion, tokens, templates, health, properties, slots, metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, UnsetType, to_builtins

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
    LlamaServerGeneration,
    MediaText,
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
from runtime.server.protocols.llamacpp import media_text
from runtime.server.protocols.ollama.models import capabilities
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
from runtime.server.protocols.text_completion import request_for, text_request
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.bridge import Reader
from runtime.server.service.media_input import MediaInput
from runtime.server.service.schema_report import SchemaReport
from runtime.server.service.service import Service

JSON = "application/json"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


async def completion(service: Service, request: LlamaServerCompletionRequest) -> WithHeaders:
    """Complete texts, at once or streamed."""
    prompt, alternatives = request.prompt, request.n_probs or None
    if isinstance(prompt, MediaText):
        asked = await request_for(
            service, request,
            lambda _: ([media_text.tokens_of(service, prompt)], [prompt.prompt_string]),
            characters=0, slow=True, alternatives=alternatives,
        )  # fmt: skip
    else:
        asked = await text_request(service, request, prompt, alternatives=alternatives)
    return await answered(service, request, *asked)


async def answered(
    service: Service,
    request: LlamaServerGeneration,
    asked: AnswerRequest,
    texts: Sequence[str],
    report: SchemaReport,
) -> WithHeaders:
    """Return texts that are asked for, at once or streamed; `texts` are those of the prompts."""
    if request.stream:
        reader = await service.submit(asked, pieces=True)
        events = _stream(service, request, asked, texts, report, reader)
        return WithHeaders(events, report.headers())
    answers = await whole(service, asked)
    return await service.prepare(
        lambda: _response(service, request, asked, texts, report, answers),
        characters=value_count(asked, answers),
        slow=bool(report.relaxed),  # they are checked
    )


def _response(
    service: Service,
    request: LlamaServerGeneration,
    asked: AnswerRequest,
    texts: Sequence[str],
    report: SchemaReport,
    answers: Sequence[WholeAnswer],
) -> WithHeaders:
    """Return the response of complete answers."""
    found: list[Any] = []
    for index, answer in enumerate(answers):
        last = _last(service, asked.options, texts[index], answer.stats, index, answer.pieces)
        last.content = answer.text
        last.schema_check = report.check(answer.text)
        if request.return_tokens:
            last.tokens = _tokens(answer.pieces)
        last.completion_probabilities = _probabilities(service, asked, answer.pieces)
        service.log(asked, answer.text)
        found.append(_selected(last, request.response_fields))
    return WithHeaders(found[0] if len(found) == 1 else found, report.headers())


def _selected(answer: Completion, fields: Sequence[str] | None) -> Any:
    """Return those fields of an answer; slashes lead into others, what is not there is left out."""
    if not fields:
        return answer
    whole_answer, found = to_builtins(answer), {}
    for path in fields:
        value = whole_answer
        for key in path.split("/"):
            value = value.get(key, UNSET) if isinstance(value, dict) else UNSET
        if value is not UNSET:
            found[path] = value
    return found


async def _stream(
    service: Service,
    request: LlamaServerGeneration,
    asked: AnswerRequest,
    texts: Sequence[str],
    report: SchemaReport,
    reader: Reader,
) -> Events:
    with reader, service.track(reader):
        collected: list[list[Piece]] = [[] for _ in reader.streams]
        async for step in steps(service, reader, progress=request.return_progress):
            index, stats = step.index, step.stream.stats
            collected[index] += step.pieces
            out: list[Any] = []
            if step.pieces or step.progress:
                part = Completion(
                    index=index,
                    content=step.text,
                    tokens=_tokens(step.pieces),
                    id_slot=stats.slot,
                    stop=False,
                    tokens_predicted=stats.generated_tokens,
                    tokens_evaluated=stats.prompt_tokens,
                    completion_probabilities=_probabilities(service, asked, step.pieces),
                    prompt_progress=step.progress or UNSET,
                    timings=Timings.of(stats) if request.timings_per_token else UNSET,
                )
                out.append(part)
            if step.stream.ended:
                last = _last(service, asked.options, texts[index], stats, index, collected[index])
                last.schema_check = report.check(text_of(collected[index]))
                out.append(_selected(last, request.response_fields))
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
        id_slot=stats.slot,
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


def _probabilities(
    service: Service, asked: AnswerRequest, pieces: Sequence[Piece]
) -> list[TokenProbability] | UnsetType:
    after = asked.manner.after_sampling
    return [_probability(service, one, after) for one in chosen_in(pieces)] or UNSET


def _probability(service: Service, chosen: SampledToken, after: bool) -> TokenProbability:
    """Return the log-probability of a token, or `after` sampling, its probability."""

    def one(token: int, logprob: float) -> TokenProbability:
        data = service.model.piece(token, special=True)
        return TokenProbability(
            id=token,
            token=data.decode("utf-8", "replace"),
            bytes=list(data),
            logprob=UNSET if after else finite(logprob),
            prob=math.exp(logprob) if after else UNSET,
        )

    found = one(chosen.token, chosen.logprob)
    others = [one(other.token, other.logprob) for other in chosen.alternatives]
    if after:
        found.top_probs = others
    else:
        found.top_logprobs = others
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
        media = MediaInput(service.model.projector, service.web_pictures)
        return TemplateResponse(service.render(template_inputs(request, service.options, media)))

    return await service.prepare(render, characters=0, slow=True)


async def health(service: Service) -> Health:
    """Return whether the server is ready."""
    if service.stopping:
        raise HTTPError(503, "the server is stopping")
    return Health("ok")


async def props(service: Service) -> Props:
    """Return properties of the server and its model."""
    model, options = service.model, service.options
    index = service.grounder.library.index if service.grounder else None
    return Props(
        default_generation_settings=GenerationDefaults(
            service.scheduler.context_size, option_fields(options)
        ),
        total_slots=options.parallel,
        model_alias=service.identity.alias,
        model_path=service.source.label,
        modalities={
            "vision": bool(service.model.projector and service.model.projector.sees),
            "audio": bool(service.model.projector and service.model.projector.hears),
        },
        media_marker=media_text.MARKER if service.model.projector else UNSET,
        capabilities=[*capabilities(service), *["rerank"] * service.reranker.possible],
        chat_template=service.template_text,
        chat_template_caps=dict(service.template.capabilities),
        bos_token=model.bos,
        eos_token=model.eos,
        build_info=f"modelembed {__version__}",
        is_sleeping=service.is_sleeping,
        modelembed=Program(
            name=service.identity.name,
            greeting=options.greeting,
            system=options.system,
            licence=service.identity.licence,
            version=__version__,
            thinking=service.template.thinks,
            tools="native" if service.template.calls_tools else "generic",
            embeddings=service.embedder.possible,
            devices=service.devices,
            documents=index.head.documents if index else 0,
            pieces=index.head.pieces if index else 0,
            max_body=int(options.max_body * 1_000_000),
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
    if service.model.projector:
        service.metrics.set("encoded", service.model.projector.encoded)
    service.metrics.set("deferred", status.waiting)
    return Text(service.metrics.text(), PROMETHEUS)
