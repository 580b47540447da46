"""From what the engine says to what each interface answers, whole or as it comes."""

from __future__ import annotations

import array
import asyncio
import base64
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from runtime.errors import AppError, ModelError
from runtime.inference.stats import Stats
from runtime.inference.token_stream import Piece, SampledToken, TokenStream
from runtime.server.bridge import Reader
from runtime.server.choice import News
from runtime.server.http.http_error import HTTPError, told
from runtime.server.protocols import llama_server, openai
from runtime.server.protocols.sampling_fields import shown
from runtime.server.service import Ask, Service, finite, new_id, progress, timings

Events = AsyncIterator[list[Struct]]
"""What is streamed: what came together goes together."""


class _Prompting:
    """Tells how far a prompt is, once for each step."""

    def __init__(self, wanted: bool | None) -> None:
        self._wanted = wanted
        self._told = -1

    def news(self, stream: TokenStream) -> openai.PromptProgress | None:
        reading = stream.progress
        if not self._wanted or reading is None or reading.processed == self._told:
            return None
        self._told = reading.processed
        return progress(reading)


async def _whole(service: Service, ask: Ask) -> tuple[Reader, list[list[Piece]]]:
    """Return all pieces of all answers."""
    with await service.submit(ask, pieces=False) as reader, service.track(reader):
        collected: list[list[Piece]] = [[] for _ in reader.streams]
        try:
            async for index, pieces in reader.news():
                collected[index] += pieces
        except AppError as exc:
            raise told(exc) from exc
    _complete(service, reader.streams)
    return reader, collected


def _complete(service: Service, streams: Sequence[TokenStream]) -> None:
    """Raise Problem where the server itself cut an answer."""
    if service.stopping and any(stream.stats.reason == "cancelled" for stream in streams):
        raise HTTPError(503, "the server stopped before the answer was complete")


def _stamp(service: Service, kind: str) -> dict[str, Any]:
    """Return what all parts of an answer in OpenAI's terms say alike."""
    return {
        "id": new_id(kind),
        "created": int(time.time()),
        "model": service.name,
        "system_fingerprint": service.fingerprint,
    }


def _counts(request: openai.ChatRequest | openai.CompletionRequest) -> bool:
    """Tell whether a stream is to end with what it cost."""
    return bool(request.stream_options and request.stream_options.include_usage)


async def chat(service: Service, request: openai.ChatRequest) -> openai.ChatResponse | Events:
    """Answer a conversation."""
    ask = await service.chat(request)
    if request.stream:
        reader = await service.submit(ask, pieces=True)
        return _chat_stream(service, request, ask, reader)
    reader, collected = await _whole(service, ask)
    choices = []
    for index, pieces in enumerate(collected):
        choice = ask.choice()
        choice.feed(pieces, last=True)
        message = openai.AnswerMessage(
            content=choice.content if choice.content or not choice.calls else None,
            reasoning_content=choice.reasoning or UNSET,
            tool_calls=choice.calls or UNSET,
        )
        choices.append(
            openai.ChatChoice(
                index=index,
                message=message,
                logprobs=service.logprobs(choice.chosen),
                finish_reason=choice.finish(reader.streams[index].stats),
            )
        )
        service.note(ask, choice.content)
    return openai.ChatResponse(
        **_stamp(service, "chatcmpl"),
        choices=choices,
        usage=service.usage(reader.streams),
        timings=timings(reader.streams[0].stats),
    )


async def _chat_stream(
    service: Service, request: openai.ChatRequest, ask: Ask, reader: Reader
) -> Events:
    counting = _counts(request)
    chunk = partial(
        openai.ChatChunk, **_stamp(service, "chatcmpl"), usage=None if counting else UNSET
    )

    with reader, service.track(reader):
        choices = [ask.choice() for _ in reader.streams]
        begun = [False] * len(choices)
        left = len(choices)
        prompting = _Prompting(request.return_progress)
        async for index, pieces in _news(reader):
            stream, choice = reader.streams[index], choices[index]
            out: list[Struct] = []
            if step := prompting.news(stream):
                out.append(chunk(choices=[], prompt_progress=step))
            if not begun[index] and (pieces or stream.ended):
                begun[index] = True
                first = openai.Delta(role="assistant", content=None)
                out.append(chunk(choices=[openai.ChunkChoice(index=index, delta=first)]))
            news = choice.feed(pieces, last=stream.ended)
            if news:
                logprobs = service.logprobs(news.chosen)
                part = openai.ChunkChoice(index=index, delta=_delta(news), logprobs=logprobs)
                more: dict[str, Any] = {}
                if request.timings_per_token:
                    more["timings"] = timings(stream.stats)
                out.append(chunk(choices=[part], **more))
            if stream.ended:
                left -= 1
                _complete(service, [stream])
                reason = choice.finish(stream.stats)
                end = openai.ChunkChoice(index=index, delta=openai.Delta(), finish_reason=reason)
                service.note(ask, choice.content)
                done = left == 0 and not counting
                out.append(chunk(choices=[end], timings=timings(stream.stats) if done else UNSET))
            if out:
                yield out
    if counting:
        usage = service.usage(reader.streams)
        yield [chunk(choices=[], usage=usage, timings=timings(reader.streams[0].stats))]


async def _news(reader: Reader) -> AsyncIterator[tuple[int, list[Piece]]]:
    try:
        async for item in reader.news():
            yield item
    except AppError as exc:
        raise told(exc) from exc


def _delta(news: News) -> openai.Delta:
    return openai.Delta(
        content=news.content or UNSET,
        reasoning_content=news.reasoning or UNSET,
        tool_calls=news.calls or UNSET,
    )


async def completion(
    service: Service, request: openai.CompletionRequest
) -> openai.CompletionResponse | Events:
    """Go on with texts."""
    ask = await service.completion(request)
    if request.stream:
        reader = await service.submit(ask, pieces=True)
        return _completion_stream(service, request, ask, reader)
    reader, collected = await _whole(service, ask)
    choices = []
    for index, pieces in enumerate(collected):
        text = "".join(piece.text for piece in pieces)
        before = ask.texts[index // ask.count] if request.echo else ""
        service.note(ask, text)
        choices.append(
            openai.CompletionChoice(
                index=index,
                text=before + text,
                logprobs=_old_logprobs(service, pieces, len(before)),
                finish_reason=_ended(reader.streams[index].stats),
            )
        )
    return openai.CompletionResponse(
        **_stamp(service, "cmpl"),
        choices=choices,
        usage=service.usage(reader.streams),
        timings=timings(reader.streams[0].stats),
    )


async def _completion_stream(
    service: Service, request: openai.CompletionRequest, ask: Ask, reader: Reader
) -> Events:
    counting = _counts(request)
    chunk = partial(
        openai.CompletionResponse, **_stamp(service, "cmpl"), usage=None if counting else UNSET
    )

    with reader, service.track(reader):
        lengths = [0] * len(reader.streams)
        begun = [False] * len(reader.streams)
        prompting = _Prompting(request.return_progress)
        async for index, pieces in _news(reader):
            stream = reader.streams[index]
            if step := prompting.news(stream):
                yield [chunk(choices=[], prompt_progress=step)]
            if not pieces and not stream.ended:
                continue
            text = "".join(piece.text for piece in pieces)
            if request.echo and not begun[index]:
                text = ask.texts[index // ask.count] + text
            begun[index] = True
            logprobs = _old_logprobs(service, pieces, lengths[index])
            lengths[index] += len(text)
            if stream.ended:
                _complete(service, [stream])
            reason = _ended(stream.stats) if stream.ended else None
            part = openai.CompletionChoice(
                index=index, text=text, logprobs=logprobs, finish_reason=reason
            )
            yield [chunk(choices=[part], timings=timings(stream.stats) if stream.ended else UNSET)]
    if counting:
        yield [chunk(choices=[], usage=service.usage(reader.streams))]


def _old_logprobs(
    service: Service, pieces: Sequence[Piece], begin: int
) -> openai.CompletionLogprobs | None:
    chosen = [one for piece in pieces for one in piece.chosen]
    if not chosen:
        return None
    shown_tokens = [service.logprob(one) for one in chosen]
    offsets = []
    for one in shown_tokens:
        offsets.append(begin)
        begin += len(one.token)
    return openai.CompletionLogprobs(
        [one.token for one in shown_tokens],
        [one.logprob for one in shown_tokens],
        [{other.token: other.logprob for other in one.top_logprobs} for one in shown_tokens],
        offsets,
    )


def _ended(stats: Stats) -> str:
    return "length" if stats.reason in ("length", "context") else "stop"


async def native_completion(
    service: Service, request: llama_server.CompletionRequest
) -> llama_server.Completion | list[llama_server.Completion] | Events:
    """Go on with texts, in llama-server's terms."""
    ask = await service.plain(request, request.n_probs or None)
    if request.stream:
        reader = await service.submit(ask, pieces=True)
        return _native_stream(service, request, ask, reader)
    reader, collected = await _whole(service, ask)
    found = []
    for index, pieces in enumerate(collected):
        last = _native_end(service, ask, reader.streams[index], index, pieces)
        last.content = "".join(piece.text for piece in pieces)
        last.tokens = (
            [token for piece in pieces for token in piece.tokens] if request.return_tokens else []
        )
        last.completion_probabilities = _probabilities(service, pieces)
        service.note(ask, last.content)
        found.append(last)
    return found[0] if len(found) == 1 else found


async def _native_stream(
    service: Service, request: llama_server.CompletionRequest, ask: Ask, reader: Reader
) -> Events:
    with reader, service.track(reader):
        collected: list[list[Piece]] = [[] for _ in reader.streams]
        prompting = _Prompting(request.return_progress)
        async for index, pieces in _news(reader):
            stream = reader.streams[index]
            collected[index] += pieces
            step = prompting.news(stream)
            out: list[Struct] = []
            if pieces or step:
                part = llama_server.Completion(
                    index=index,
                    content="".join(piece.text for piece in pieces),
                    tokens=[token for piece in pieces for token in piece.tokens],
                    stop=False,
                    tokens_predicted=stream.stats.generated_tokens,
                    tokens_evaluated=stream.stats.prompt_tokens,
                    completion_probabilities=_probabilities(service, pieces),
                    prompt_progress=step or UNSET,
                    timings=timings(stream.stats) if request.timings_per_token else UNSET,
                )
                out.append(part)
            if stream.ended:
                _complete(service, [stream])
                out.append(_native_end(service, ask, stream, index, collected[index]))
            if out:
                yield out


def _native_end(
    service: Service, ask: Ask, stream: TokenStream, index: int, pieces: Sequence[Piece]
) -> llama_server.Completion:
    """Return the last part of an answer; its text has been said."""
    stats = stream.stats
    kinds = {"stop": "word" if stats.stopped_by else "eos", "length": "limit", "context": "limit"}
    return llama_server.Completion(
        index=index,
        content="",
        tokens=[],
        stop=True,
        tokens_predicted=stats.generated_tokens,
        tokens_evaluated=stats.prompt_tokens,
        model=service.name,
        generation_settings=shown(ask.options),
        prompt=ask.texts[index],
        has_new_line=any("\n" in piece.text for piece in pieces),
        truncated=stats.reason == "context",
        stop_type=kinds.get(stats.reason, "none"),
        stopping_word=stats.stopped_by,
        tokens_cached=stats.cached_tokens,
        timings=timings(stats),
    )


def _probabilities(
    service: Service, pieces: Sequence[Piece]
) -> list[llama_server.TokenProbability] | UnsetType:
    chosen = [one for piece in pieces for one in piece.chosen]
    return [_probability(service, one) for one in chosen] or UNSET


def _probability(service: Service, chosen: SampledToken) -> llama_server.TokenProbability:
    def one(token: int, logprob: float) -> llama_server.TokenProbability:
        data = service.model.piece(token, special=True)
        return llama_server.TokenProbability(
            id=token,
            token=data.decode("utf-8", "replace"),
            bytes=list(data),
            logprob=finite(logprob),
        )

    found = one(chosen.token, chosen.logprob)
    found.top_logprobs = [one(other.token, other.logprob) for other in chosen.alternatives]
    return found


async def old_completion(
    service: Service, request: llama_server.OldRequest
) -> llama_server.OldResponse:
    """Go on with a text, as an older server did."""
    ask = await service.old(request)
    reader, collected = await _whole(service, ask)
    text = "".join(piece.text for piece in collected[0])
    stats = reader.streams[0].stats
    service.note(ask, text)
    return llama_server.OldResponse(request.prompt, text, stats.generated_tokens, _ended(stats))


async def embeddings(
    service: Service, request: openai.EmbeddingRequest
) -> openai.EmbeddingResponse:
    """Turn texts into vectors."""
    if not service.embeds:
        raise HTTPError(
            501,
            "this model was not made for embeddings; --pooling mean makes some of any model",
        )

    def compute() -> openai.EmbeddingResponse:
        prompts = service.prompts(request.input, "input")
        data = []
        for index, prompt in enumerate(prompts):
            try:
                vector = service.embedder.embed(prompt)
            except ModelError as exc:
                raise HTTPError(400, exc.problem, param="input") from exc
            if request.dimensions not in (None, len(vector)):
                raise HTTPError(
                    400, f"this model's vectors have {len(vector)} numbers", param="dimensions"
                )
            shown: list[float] | str = vector
            if request.encoding_format == "base64":
                shown = base64.b64encode(array.array("f", vector).tobytes()).decode()
            data.append(openai.Embedding(index=index, embedding=shown))
        count = sum(map(len, prompts))
        usage = openai.EmbeddingUsage(count, count)
        return openai.EmbeddingResponse(data=data, model=service.name, usage=usage)

    return await asyncio.to_thread(compute)
