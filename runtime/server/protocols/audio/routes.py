"""The path of OpenAI's transcriptions."""

from __future__ import annotations

from functools import partial

from runtime.server.http.endpoint import Endpoint
from runtime.server.http.request_body import BodyReader
from runtime.server.protocols.audio import transcriptions
from runtime.server.service.service import Service

ALIASES = {"/v1/audio/transcriptions": ("/audio/transcriptions",)}


def endpoints(service: Service, reader: BodyReader) -> list[Endpoint]:
    """Return the endpoint."""
    return [
        Endpoint(
            "POST",
            "/v1/audio/transcriptions",
            partial(transcriptions.transcribe, service),
            summary="Write down what is said in a sound",
            request=transcriptions.TranscriptionRequest,
            form=True,
            response=transcriptions.Transcription,
            streams=transcriptions.Transcription | transcriptions.TranscriptionDelta,
            reader=reader,
        )
    ]
