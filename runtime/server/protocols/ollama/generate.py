"""Ollama's answers to one question, and texts that are gone on with or filled in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

from msgspec import UNSET, Struct

from runtime.chat_format.answer_reader import ContentReader
from runtime.inference.token_stream import Piece
from runtime.model.projector.media_prompt import behind
from runtime.server.http.endpoint import WithHeaders
from runtime.server.http.http_error import HTTPError, naming
from runtime.server.protocols.answer_parts import AnswerParts
from runtime.server.protocols.messages import ChatMessage
from runtime.server.protocols.ollama.chat import Asked, answered, asked_of, logprobs, stamp
from runtime.server.protocols.ollama.chat_request import FIELDS, as_chat, with_images
from runtime.server.protocols.ollama.types import (
    OllamaGenerateRequest,
    OllamaGenerateResponse,
    ending,
    timestamp,
)
from runtime.server.protocols.openai_chat import NewAnswer
from runtime.server.protocols.openai_types import ChatRequest
from runtime.server.protocols.sampling_fields import merged_options
from runtime.server.protocols.streaming import Events, WholeAnswer, steps
from runtime.server.protocols.template_inputs import with_format
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.bridge import Reader
from runtime.server.service.gap_prompt import gap_prompt
from runtime.server.service.schema_report import SchemaReport
from runtime.server.service.service import Service


async def generate(
    service: Service, request: OllamaGenerateRequest
) -> WithHeaders | OllamaGenerateResponse:
    """Answer a question; without one, only say that the model is loaded."""
    if not request.prompt and request.suffix is None:
        reason = "unload" if request.unloads else "load"
        return OllamaGenerateResponse(
            **stamp(service, request.model), response="", done=True, done_reason=reason
        )
    asked, kept = await service.prepare(lambda: _asked(service, request), characters=0, slow=True)
    return await answered(
        service,
        asked,
        partial(_stream, service, request, kept, *asked) if request.streams else None,
        partial(_response, service, request, kept, *asked),
    )


def _asked(service: Service, request: OllamaGenerateRequest) -> tuple[Asked, Sequence[int]]:
    """Return what is asked for, and the prompt as its `context` has it.

    That is without pictures: tokens alone can be sent back. Raise HTTPError if it is invalid.
    """
    if request.images and (request.raw or request.suffix is not None):
        raise HTTPError(
            400, "'images' belong to a question: leave out 'raw' and 'suffix'", param="images"
        )
    if request.template:
        raise HTTPError(
            400,
            "'template' is not read: the model's own applies; 'raw' takes a prompt as it is",
            param="template",
        )
    prompt = request.prompt or ""
    before = service.tokens_of(request.context, param="context")[0] if request.context else []
    if request.suffix is not None:
        tokens = gap_prompt(service, prompt, request.suffix)
        return _plain(service, request, tokens), tokens
    if request.raw:
        more = service.tokenizer.tokenize(prompt, beginning=not before)
        tokens = [*before, *more]
        return _plain(service, request, tokens), tokens
    asked = _question(service, request, before, request.images)
    # Not what is left where pictures are taken out: the tokens that begin and end each would stay.
    shown = _question(service, request, before, None) if request.images else asked
    return asked, shown[0].prompts[0]


def _question(
    service: Service,
    request: OllamaGenerateRequest,
    before: Sequence[int],
    images: Sequence[str] | None,
) -> Asked:
    """Return a request to answer a question, with `images` and behind the tokens `before`."""
    # What is gone on with has a system prompt already: an empty one keeps the server's out.
    system = "" if request.system is None and before else request.system
    content = with_images(request.prompt or "", images, "images")
    messages = [ChatMessage(role="user", content=content)]
    if system is not None:
        messages.insert(0, ChatMessage(role="system", content=system))
    asked, new_answer, report = asked_of(service, as_chat(request, messages))
    if before:
        (tokens,) = asked.prompts
        begins = bool(tokens) and service.model.spelled(tokens[0]) == service.model.bos
        asked = dataclasses.replace(asked, prompts=[behind(before, tokens, begins)])
    return asked, new_answer, report


def _plain(service: Service, request: OllamaGenerateRequest, tokens: Sequence[int]) -> Asked:
    """Return a request to go on with tokens."""
    chat: ChatRequest = as_chat(request, [])
    with naming(FIELDS):
        options = merged_options(chat, service.options, service.tokenize, chat.max_tokens)
        grammar, schema = with_format(chat, options)
    asked = AnswerRequest(
        prompts=[tokens],
        options=dataclasses.replace(options, grammar=grammar, json_schema=schema),
        alternatives=(request.top_logprobs or 0) if request.logprobs else None,
    )
    return asked, lambda: AnswerParts(ContentReader()), SchemaReport.of(schema)


def _response(
    service: Service,
    request: OllamaGenerateRequest,
    kept: Sequence[int],
    asked: AnswerRequest,
    new_answer: NewAnswer,
    report: SchemaReport,
    answer: WholeAnswer,
) -> OllamaGenerateResponse:
    parts = new_answer()
    parts.feed(answer.pieces, answer.stats, last=True)
    service.log(asked, parts.content)
    return OllamaGenerateResponse(
        **stamp(service, request.model),
        response=parts.content,
        thinking=parts.reasoning or UNSET,
        logprobs=logprobs(service, parts.chosen),
        context=_context(kept, answer.pieces),
        schema_check=report.check(parts.content),
        **ending(answer.stats),
    )


async def _stream(
    service: Service,
    request: OllamaGenerateRequest,
    kept: Sequence[int],
    asked: AnswerRequest,
    new_answer: NewAnswer,
    report: SchemaReport,
    reader: Reader,
) -> Events:
    line = partial(OllamaGenerateResponse, model=request.model or service.identity.alias)
    with reader, service.track(reader):
        parts, pieces = new_answer(), list[Piece]()
        async for step in steps(service, reader):
            out: list[Struct] = []
            pieces += step.pieces
            new = parts.feed(step.pieces, step.stream.stats, last=step.stream.ended)
            if new:
                part = line(
                    created_at=timestamp(),
                    response=new.content,
                    thinking=new.reasoning or UNSET,
                    logprobs=logprobs(service, new.chosen),
                )
                out.append(part)
            if step.stream.ended:
                service.log(asked, parts.content)
                last = line(
                    created_at=timestamp(),
                    response="",
                    context=_context(kept, pieces),
                    schema_check=report.check(parts.content),
                    **ending(step.stream.stats),
                )
                out.append(last)
            if out:
                yield out


def _context(kept: Sequence[int], pieces: Sequence[Piece]) -> list[int]:
    """Return the tokens of the prompt that are `kept`, and of its answer."""
    return [*kept, *(token for piece in pieces for token in piece.tokens)]
