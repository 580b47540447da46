"""The paths of Anthropic's Messages, and how errors and streams are written there."""

from __future__ import annotations

from functools import partial

from runtime.server.http.dialect import Dialect, named_event
from runtime.server.http.endpoint import Endpoint
from runtime.server.http.request_body import BodyReader
from runtime.server.protocols.anthropic import message, messages, requests
from runtime.server.service.service import Service

PREFIX = "/v1/messages"
DIALECT = Dialect(
    body=message.failure_of,
    error=message.Failure,
    event=named_event,
    failure=message.failure_of,
    end=b"",
)


def endpoints(service: Service, reader: BodyReader) -> list[Endpoint]:
    """Return the endpoints."""
    return [
        Endpoint(
            "POST",
            PREFIX,
            partial(messages.create, service),
            summary="Answer a conversation in blocks",
            request=requests.MessagesRequest,
            response=message.Message,
            streams=message.AnyEvent,
            reader=reader,
            dialect=DIALECT,
        ),
        Endpoint(
            "POST",
            f"{PREFIX}/count_tokens",
            partial(messages.count_tokens, service),
            summary="Count the tokens of such a conversation",
            request=requests.CountRequest,
            response=message.TokenCount,
            reader=reader,
            dialect=DIALECT,
        ),
    ]
