"""Parameters of tools: their schemas, as the engine's converter can hold calls to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.json_schema import schemas

Tool = Mapping[str, Any]
"""In OpenAI's format."""


def schema_of(tool: Tool) -> schemas.Schema:
    """Return the schema of a tool's parameters; raise UsageError if it is none."""
    return schemas.parameters(json.dumps(tool["function"].get("parameters") or {}))


def written(tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools with such parameters as the converter knows."""
    return [
        {**tool, "function": {**tool["function"], "parameters": schema_of(tool).written}}
        for tool in tools
    ]
