"""Parameters of tools: their schemas, as the engine's converter can hold calls to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.json_schema import schemas

DEPTH_MAX = 8
Tool = Mapping[str, Any]
"""In OpenAI's format."""


def schema_of(tool: Tool) -> schemas.Schema:
    """Return the schema of a tool's parameters; raise UsageError if it is none."""
    return schemas.parameters(json.dumps(tool["function"].get("parameters") or {}))


def written(tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools with such parameters as the converter knows."""
    found: list[Tool] = []
    for tool in tools:
        parameters = schema_of(tool).written
        typed = _typed(parameters, parameters.get("$defs", {}))
        found.append({**tool, "function": {**tool["function"], "parameters": typed}})
    return found


def _typed(part: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a schema in which every part has a type, for templates that ask for it.

    The converter takes no notice of the type of alternatives and references.
    """
    if isinstance(part, list):
        return [_typed(one, definitions) for one in part]
    if not isinstance(part, Mapping):
        return part
    found: dict[str, Any] = {}
    if "type" not in part and part.keys() & {"anyOf", "$ref", "enum"}:
        found["type"] = _type_of(part, definitions)
    for key, value in part.items():
        if key in ("properties", "$defs"):
            found[key] = {name: _typed(one, definitions) for name, one in value.items()}
        else:
            found[key] = value if key in ("const", "enum") else _typed(value, definitions)
    return found


def _type_of(part: Mapping[str, Any], definitions: Mapping[str, Any], depth: int = 0) -> str:
    """Return the type of a part, or of one of its alternatives."""
    if depth > DEPTH_MAX:
        return "object"
    if "$ref" in part:
        target = definitions[part["$ref"].rpartition("/")[2]]
        return _type_of(target, definitions, depth + 1)
    options = [_type_of(option, definitions, depth + 1) for option in part.get("anyOf", ())]
    known = [kind for kind in options if kind != "null"]
    return str(part.get("type") or (known or options or ["string"])[0])
