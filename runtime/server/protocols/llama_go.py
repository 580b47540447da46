"""Completion endpoint of an older server in Go (llama-go), with its field names."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from msgspec import Meta, Struct

from runtime import bounds
from runtime.server.protocols.streaming import finish_reason, whole
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.service import Service


class LlamaGoRequest(Struct, kw_only=True):
    """A completion request; the defaults are the older server's."""

    prompt: str
    tokens: Annotated[int, Meta(ge=-1, le=bounds.INTEGER)] = -1
    top_k: Annotated[int, Meta(ge=0, le=bounds.INTEGER)] = 40
    top_p: Annotated[float, Meta(ge=0, le=1)] = 0.9
    temp: Annotated[float, Meta(ge=0, le=100)] = 0.8
    repeat_penalty: Annotated[float, Meta(ge=0.01, le=100)] = 1.3
    repeat_lastn: Annotated[int, Meta(ge=-1, le=bounds.INTEGER)] = 64


class LlamaGoResponse(Struct):
    """The response."""

    Prompt: str
    Text: str
    Tokens: int
    CompleteReason: str


async def completion(service: Service, request: LlamaGoRequest) -> LlamaGoResponse:
    """Complete a text."""
    options = dataclasses.replace(
        service.options,
        n_predict=request.tokens,
        top_k=request.top_k,
        top_p=request.top_p,
        temp=request.temp,
        repeat_penalty=request.repeat_penalty,
        repeat_last_n=request.repeat_lastn,
    )
    prompts = await service.prepare(
        lambda: service.tokens_of(request.prompt), characters=len(request.prompt)
    )
    asked = AnswerRequest(prompts=prompts, options=options)
    (answer,) = await whole(service, asked)
    service.log(asked, answer.text)
    return LlamaGoResponse(
        Prompt=request.prompt,
        Text=answer.text,
        Tokens=answer.stats.generated_tokens,
        CompleteReason=finish_reason(answer.stats),
    )
