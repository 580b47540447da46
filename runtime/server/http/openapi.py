"""OpenAPI document of the API, generated from the types that requests are decoded to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from runtime import __version__
from runtime.server.http.endpoint import Endpoint
from runtime.server.http.http_error import ErrorBody

VERSION = "3.1.0"
REFUSALS = {
    "400": "The request is wrong; `param` names the field",
    "401": "An API key is needed",
    "403": "The Host or Origin header is not that of this server",
    "413": "The request is too large",
    "500": "The model failed",
    "501": "This model cannot do that",
    "503": "Too many requests are waiting; Retry-After says when to come again",
}


def document(endpoints: Sequence[Endpoint]) -> str:
    """Return the document as JSON."""
    types: list[Any] = [ErrorBody]
    for endpoint in endpoints:
        types += [
            kind
            for kind in (endpoint.request, endpoint.response, endpoint.streams)
            if kind is not None
        ]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    known = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, known)
    found = {
        "openapi": VERSION,
        "info": {
            "title": "modelembed",
            "version": __version__,
            "description": "OpenAI's interface and llama-server's, over the model in one file.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }
    return msgspec.json.encode(found).decode()


def _operation(endpoint: Endpoint, known: dict[int, Any]) -> dict[str, Any]:
    plain = endpoint.response is str
    kind = "text/plain" if plain else "application/json"
    content: dict[str, Any] = {kind: {"schema": known[id(endpoint.response)]}}
    if endpoint.streams is not None:
        # Of one event, as OpenAPI has it up to 3.1. The last one's data is `[DONE]`.
        data = {"type": "string", "contentMediaType": "application/json"}
        event = {"type": "object", "properties": {"data": data}, "required": ["data"]}
        content["text/event-stream"] = {"schema": event}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": endpoint.path.strip("/").replace("/", "_").replace(".", "_"),
        "responses": {"200": {"description": "The answer", "content": content}},
    }
    refusals = REFUSALS if endpoint.request is not None else {"401": REFUSALS["401"]}
    for status in ("401", "403", "503") if endpoint.request is None else tuple(refusals):
        operation["responses"][status] = {
            "description": REFUSALS[status],
            "content": {"application/json": {"schema": known[id(ErrorBody)]}},
        }
    if endpoint.request is not None:
        schema = known[id(endpoint.request)]
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return operation
