"""The paths of OpenAI's Responses, and how errors and streams are written there."""

from __future__ import annotations

from typing import Any

from runtime.server.http.dialect import Dialect, named_event
from runtime.server.http.endpoint import Endpoint, PathName
from runtime.server.http.request_body import BodyReader
from runtime.server.protocols.responses import events, requests, response, stored
from runtime.server.protocols.responses.create import Responses
from runtime.server.service.service import Service

PREFIX = "/v1/responses"
DIALECT = Dialect(event=named_event, failure=events.problem_of, end=b"")


def endpoints(service: Service, reader: BodyReader) -> list[Endpoint]:
    """Return the endpoints."""
    responses = Responses(service)
    kept = stored.StoredResponses(responses.store)
    one = f"{PREFIX}/{{name}}"
    named: list[tuple[str, str, Any, str, Any]] = [
        ("GET", one, kept.retrieve, "A response that is kept", response.Response),
        ("DELETE", one, kept.delete, "Forget a response", stored.Deleted),
        ("GET", f"{one}/input_items", kept.input_items, "What a response was asked for with",
         stored.InputItems),
    ]  # fmt: skip
    return [
        Endpoint(
            "POST",
            PREFIX,
            responses.create,
            summary="Answer with items",
            request=requests.ResponsesRequest,
            response=response.Response,
            streams=events.AnyEvent,
            reader=reader,
            dialect=DIALECT,
        ),
        Endpoint(
            "POST",
            f"{PREFIX}/input_tokens",
            responses.input_tokens,
            summary="Count the tokens of such a request",
            request=requests.InputRequest,
            response=response.InputTokens,
            reader=reader,
            dialect=DIALECT,
        ),
        *(
            Endpoint(method, path, handler, summary=summary, parameters=PathName, response=answer,
                     dialect=DIALECT, wakes=False)
            for method, path, handler, summary, answer in named
        ),
    ]  # fmt: skip
