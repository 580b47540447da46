"""Answers of the engine, complete or step by step, as the handlers of all protocols use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from runtime.errors import AppError
from runtime.inference.stats import Stats
from runtime.inference.token_stream import Piece, SampledToken, TokenStream
from runtime.server.http.http_error import HTTPError, http_error_of
from runtime.server.protocols.llama_server_types import PromptProgress
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.bridge import Reader
from runtime.server.service.service import Service

CHARACTERS = 4
"""Of a token, about."""
Events = AsyncIterator[list[Struct]]
"""What is streamed: what came together goes together."""


@dataclass(frozen=True)
class Step:
    """What is new of one answer; no text if it has just ended."""

    index: int
    stream: TokenStream
    pieces: Sequence[Piece]
    progress: PromptProgress | None
    """How far its prompt has been read, if that was asked for and is news."""

    @property
    def text(self) -> str:
        """Return the new text."""
        return text_of(self.pieces)


@dataclass
class WholeAnswer:
    """One complete answer."""

    stats: Stats
    pieces: list[Piece] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return its text."""
        return text_of(self.pieces)


async def steps(
    service: Service, reader: Reader, *, progress: bool | None = False
) -> AsyncIterator[Step]:
    """Yield what is new of each answer until all have ended.

    Raise HTTPError if the engine fails, or if the server stops.
    """
    told = -1
    try:
        async for index, pieces in reader.news():
            stream = reader.streams[index]
            if service.stopping and stream.ended and stream.stats.reason == "cancelled":
                raise HTTPError(503, "the server stopped before the answer was complete")
            reading = stream.progress
            if not progress or reading is None or reading.processed == told:
                yield Step(index, stream, pieces, None)
            else:
                told = reading.processed
                yield Step(index, stream, pieces, PromptProgress.of(reading))
    except AppError as exc:
        raise http_error_of(exc) from exc


async def whole(service: Service, request: AnswerRequest) -> list[WholeAnswer]:
    """Return all answers once they are complete; raise HTTPError as `submit` and `steps` do."""
    with await service.submit(request, pieces=False) as reader, service.track(reader):
        answers = [WholeAnswer(stream.stats) for stream in reader.streams]
        async for step in steps(service, reader):
            answers[step.index].pieces += step.pieces
    return answers


def value_count(request: AnswerRequest, answers: Sequence[WholeAnswer]) -> int:
    """Return about how many characters, or numbers, are read to make the response."""
    tokens = sum(answer.stats.generated_tokens for answer in answers)
    return tokens * (CHARACTERS + (request.alternatives or 0))


def text_of(pieces: Iterable[Piece]) -> str:
    """Return the text of pieces."""
    return "".join([piece.text for piece in pieces])


def chosen_in(pieces: Iterable[Piece]) -> list[SampledToken]:
    """Return the tokens in pieces with their log-probabilities; empty if not requested."""
    return [one for piece in pieces for one in piece.chosen]


def finish_reason(stats: Stats) -> str:
    """Return OpenAI's `finish_reason` of an answer."""
    return "length" if stats.reason in ("length", "context") else "stop"
