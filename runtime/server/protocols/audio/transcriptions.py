"""OpenAI's transcriptions: what is said in a sound, by a model that hears.

As llama-server answers them: the sound goes into a conversation of one question, which the answer
is the text of. https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

from __future__ import annotations

import base64
from typing import Any, Literal

from msgspec import Struct

from runtime.inference.stats import Stats
from runtime.server.http.endpoint import Text
from runtime.server.http.http_error import HTTPError, naming
from runtime.server.protocols.answer_parts import AnswerParts
from runtime.server.protocols.messages import ChatMessage, InputAudio, PlacedPart
from runtime.server.protocols.openai_chat import NewAnswer, asked_for
from runtime.server.protocols.openai_types import ChatRequest, PromptDetails
from runtime.server.protocols.sampling_fields import Limit, Name
from runtime.server.protocols.streaming import Events, steps, value_count, whole
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.bridge import Reader
from runtime.server.service.service import Service

QUESTION = "Transcribe audio to text"
LFM2_TOOLS = "<|tool_list_start|>", "<|tool_list_end|>"
"""By these in their templates llama.cpp knows models of Liquid's, which are asked otherwise."""
LFM2_SYSTEM = "Perform ASR."
FIELDS = {r"^messages\b.*": "file"}


class TranscriptionRequest(Struct, kw_only=True):
    """A form with a sound."""

    file: bytes
    model: Name | None = None
    prompt: str | None = None
    """What the model is asked, in the place of QUESTION."""
    language: Name | None = None
    response_format: Literal["json", "text"] = "json"
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: Limit | None = None


class TranscriptionUsage(Struct, kw_only=True):
    """Tokens used by a transcription."""

    type: str = "tokens"
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: PromptDetails

    @classmethod
    def of(cls, stats: Stats) -> TranscriptionUsage:
        """Return those of an answer."""
        prompt, answer = stats.prompt_tokens, stats.generated_tokens
        return cls(
            input_tokens=prompt,
            output_tokens=answer,
            total_tokens=prompt + answer,
            input_tokens_details=PromptDetails(stats.cached_tokens),
        )


class Transcription(Struct, kw_only=True, tag="transcript.text.done", tag_field="type"):
    """The text, whole; also the last event of a stream."""

    text: str
    usage: TranscriptionUsage


class TranscriptionDelta(Struct, kw_only=True, tag="transcript.text.delta", tag_field="type"):
    """What is new of the text."""

    delta: str


async def transcribe(service: Service, request: TranscriptionRequest) -> Any:
    """Return what is said in a sound; raise HTTPError if the model hears nothing."""
    projector = service.model.projector
    if projector is None or not projector.hears:
        raise HTTPError(501, "this model does not hear; one with a projector for sound does")
    asked, new_answer = await service.prepare(
        lambda: _asked(service, request), characters=0, slow=True
    )
    if request.stream:
        return _stream(service, asked, new_answer(), await service.submit(asked, pieces=True))
    [answer] = await whole(service, asked)

    def written() -> Any:
        parts = new_answer()
        parts.feed(answer.pieces, answer.stats, last=True)
        service.log(asked, parts.content)
        if request.response_format == "text":
            return Text(parts.content + "\n")
        return Transcription(text=parts.content, usage=TranscriptionUsage.of(answer.stats))

    return await service.prepare(written, characters=value_count(asked, [answer]))


def _asked(service: Service, request: TranscriptionRequest) -> tuple[AnswerRequest, NewAnswer]:
    lfm2 = all(mark in service.template_text for mark in LFM2_TOOLS)
    question = request.prompt or ("" if lfm2 else QUESTION)
    if request.language:
        question += f" (language: {request.language})"
    sound = InputAudio(base64.b64encode(request.file).decode())
    # Told as one text, as the peer's question and sound are: nothing stands between them.
    parts = [
        *([PlacedPart(type="text", text=question)] if question else ()),
        PlacedPart(type="input_audio", input_audio=sound, where="file"),
    ]
    chat = ChatRequest(
        messages=[
            *([ChatMessage(role="system", content=LFM2_SYSTEM)] if lfm2 else ()),
            ChatMessage(role="user", content=[*parts]),
        ],
        temperature=request.temperature,
        top_p=request.top_p,
        seed=request.seed,
        max_tokens=request.max_tokens,
    )
    with naming(FIELDS):
        asked, new_answer, _ = asked_for(service, chat)
    return asked, new_answer


async def _stream(
    service: Service, asked: AnswerRequest, parts: AnswerParts, reader: Reader
) -> Events:
    with reader, service.track(reader):
        async for step in steps(service, reader):
            stats = step.stream.stats
            new = parts.feed(step.pieces, stats, last=step.stream.ended)
            out: list[Struct] = []
            if new.content:
                out.append(TranscriptionDelta(delta=new.content))
            if step.stream.ended:
                service.log(asked, parts.content)
                out.append(Transcription(text=parts.content, usage=TranscriptionUsage.of(stats)))
            if out:
                yield out
