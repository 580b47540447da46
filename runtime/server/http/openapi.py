"""OpenAPI document of the API, generated from the types that requests are decoded to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from runtime import __version__
from runtime.server.http import form_data
from runtime.server.http.dialect import OPENAI
from runtime.server.http.endpoint import Endpoint

VERSION = "3.1.0"
REFUSALS = {
    "400": "The request is wrong; `param` names the field",
    "401": "An API key is needed",
    "403": "The Host or Origin header is not that of this server",
    "404": "There is no such model, or part of one",
    "413": "The request is too large",
    "500": "The model failed",
    "501": "This model cannot do that",
    "503": "Too many requests are waiting; Retry-After says when to come again",
}


def document(endpoints: Sequence[Endpoint], prefix: str = "") -> str:
    """Return the document as JSON; all paths are below `prefix`."""
    types: list[Any] = []
    for endpoint in endpoints:
        kinds = endpoint.request, endpoint.response, endpoint.streams, endpoint.dialect.error
        types += [kind for kind in kinds if kind is not None]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    known = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        others = paths.setdefault(_path(endpoint), {})
        others[endpoint.method.lower()] = _operation(endpoint, known, alone=not others)
    found = {
        "openapi": VERSION,
        "info": {
            "title": "modelembed",
            "version": __version__,
            "description": "The interfaces of OpenAI, Anthropic, Ollama and llama-server, over the "
            "model in one file.",
        },
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{}, {"key": []}, {"header": []}],
    }
    return msgspec.json.encode(found).decode()


def _operation(endpoint: Endpoint, known: dict[int, Any], *, alone: bool) -> dict[str, Any]:
    plain = endpoint.response is str
    kind = "text/plain" if plain else "application/json"
    content: dict[str, Any] = {kind: {"schema": known[id(endpoint.response)]}}
    if endpoint.streams is not None and endpoint.dialect.kind != OPENAI.kind:
        content[endpoint.dialect.kind.partition(";")[0]] = {"schema": known[id(endpoint.streams)]}
    elif endpoint.streams is not None:
        # Of one event, as OpenAPI has it up to 3.1. OpenAI's older ones end with the data `[DONE]`.
        data = {"type": "string", "contentMediaType": "application/json"}
        event = {"type": "object", "properties": {"data": data}, "required": ["data"]}
        content["text/event-stream"] = {"schema": event}
    name = re.sub(r"\W+", "_", _path(endpoint)).strip("_")
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": name if alone else f"{name}_{endpoint.method.lower()}",
        "responses": {"200": {"description": "The answer", "content": content}},
    }
    asks = endpoint.request is not None or endpoint.parameters is not None
    for status in REFUSALS if asks else ("401", "403", "503"):
        operation["responses"][status] = {
            "description": REFUSALS[status],
            "content": {"application/json": {"schema": known[id(endpoint.dialect.error)]}},
        }
    if endpoint.parameters is not None:
        operation["parameters"] = _parameters(endpoint)
    if endpoint.request is not None:
        schema = known[id(endpoint.request)]
        operation["requestBody"] = {
            "required": not endpoint.empty,
            "content": {
                form_data.KIND if endpoint.form else "application/json": {"schema": schema}
            },
        }
    return operation


def _path(endpoint: Endpoint) -> str:
    """Return a path as OpenAPI has it: no name in braces says what it may consist of."""
    return re.sub(r":\w+}", "}", endpoint.path)


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return what is in the path and the query of an endpoint."""
    path, described = _path(endpoint), msgspec.json.schema(endpoint.parameters)
    fields = next(iter(described["$defs"].values()))["properties"]
    return [
        {
            "name": field,
            "in": "path" if f"{{{field}}}" in path else "query",
            "required": f"{{{field}}}" in path or "default" not in schema,
            "schema": schema,
        }
        for field, schema in fields.items()
    ]
