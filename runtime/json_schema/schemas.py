"""JSON schemas: the grammar that holds an answer to one, and whether an answer follows it.

No schema is refused because of what a grammar cannot express: that is left out of the grammar, and
the answer is checked in the end.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime import bounds
from runtime.errors import JSON, UsageError
from runtime.json_schema import facts
from runtime.json_schema.relaxer import ANNOTATIONS, Relaxation, Relaxer
from runtime.json_schema.validator import SchemaValidator, Unchecked
from runtime.model import libchat
from runtime.model.llama_api import api, native_call

KEPT_MAX = 1 << 17
"""Characters of a schema that is kept for the next request."""
ANY_OBJECT: dict[str, Any] = {"type": "object"}
ANY_VALUE: dict[str, Any] = {"anyOf": [{}]}
LIMITS = {"pattern", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}


@dataclass(frozen=True)
class Schema:
    """A schema, what the grammar holds answers to, and what it does not."""

    written: Mapping[str, Any]
    """The schema for the engine's converter."""
    relaxed: tuple[Relaxation, ...]
    """What an answer may fail in."""
    grammar: str
    """In GBNF."""
    validator: SchemaValidator

    def held(self, answer: str) -> bool | None:
        """Return whether an answer, as JSON, follows the schema; None if that cannot be said."""
        try:
            return self.validator.is_valid(json.loads(answer))
        except Unchecked:
            return None
        except (ValueError, RecursionError):
            return False


def prepared(text: str) -> Schema:
    """Return the JSON schema `text`; raise UsageError if it is none, or too large."""
    return _kept(text, False) if len(text) <= KEPT_MAX else _prepared(text, False)


def parameters(text: str) -> Schema:
    """Return the JSON schema of a tool's parameters, in the form of an object's; as `prepared`."""
    return _kept(text, True) if len(text) <= KEPT_MAX else _prepared(text, True)


@functools.lru_cache(maxsize=32)
def _kept(text: str, is_tool: bool) -> Schema:
    return _prepared(text, is_tool)


def _prepared(text: str, is_tool: bool) -> Schema:
    document = _document(text)
    validator = SchemaValidator(document)
    relaxer = Relaxer(document, validator)
    try:
        written = relaxer.write(named=not is_tool)
    except RecursionError:
        raise UsageError("the JSON schema is nested too deeply") from None
    if is_tool and (written.get("type") != "object" or "properties" not in written):
        written = _one_object(written, relaxer)
    written, grammar = _accepted(written, relaxer)
    return Schema(written, relaxer.notes, grammar, validator)


def _document(text: str) -> dict[str, Any]:
    """Return the schema as an object; raise UsageError if it is none."""
    if len(text) > bounds.SCHEMA:
        raise UsageError(
            f"the JSON schema has {len(text)} characters, at most {bounds.SCHEMA} are read",
            hint="ask for less at once",
        )
    try:
        found = json.loads(text, parse_constant=_refuse, parse_float=_number)
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"the JSON schema is not JSON: {exc}", hint=JSON) from exc
    if not isinstance(found, dict):
        raise UsageError(
            f"the JSON schema is {json.dumps(found)[:100]}, expected an object",
            hint="{} stands for any JSON object",
        )
    facts.require_shallow(found)
    return found if found.keys() - ANNOTATIONS else {**found, **ANY_OBJECT}


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _number(text: str) -> float:
    if abs(found := float(text)) == float("inf"):
        raise ValueError(f"{text} is too large")
    return found


def _one_object(written: Mapping[str, Any], relaxer: Relaxer) -> dict[str, Any]:
    """Return one object's schema that allows what any of several allow.

    Templates that write each argument of a call by itself need to know them all.
    """
    options = [written, *written.get("anyOf", ())]
    objects = [option for option in options if isinstance(option.get("properties"), dict)]
    if not objects:
        return {"type": "object", "properties": {}, "additionalProperties": True}
    relaxer.note("anyOf", "#")
    names = dict.fromkeys(name for one in objects for name in one["properties"])
    properties = {}
    for name in names:
        found: list[Any] = []
        for one in objects:
            if name in one["properties"] and one["properties"][name] not in found:
                found.append(one["properties"][name])
        properties[name] = found[0] if len(found) == 1 else {"anyOf": found}
    needed = [name for name in names if all(name in one.get("required", ()) for one in objects)]
    kept = {"$defs": written["$defs"]} if "$defs" in written else {}
    return {
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
        **kept,
    }


def _accepted(written: dict[str, Any], relaxer: Relaxer) -> tuple[dict[str, Any], str]:
    """Return the schema and its grammar; what the engine does not take is relaxed further."""
    if grammar := _grammar(written):
        return written, grammar
    relaxer.note("limits and patterns", "#")
    fewer = _without_limits(written)
    if grammar := _grammar(fewer):
        return fewer, grammar
    relaxer.note("the whole", "#")
    least = ANY_OBJECT if written.get("type") == "object" else ANY_VALUE
    return least, libchat.grammar(json.dumps(least))


def _grammar(written: Mapping[str, Any]) -> str:
    """Return the grammar of a schema; empty if the engine does not take it."""
    try:
        found = libchat.grammar(json.dumps(written))
    except libchat.LibraryError:
        return ""
    if len(found) > bounds.SCHEMA_GRAMMAR:
        return ""
    with native_call():
        sampler = api.llama_sampler_init_grammar(None, found.encode(), b"root")
    if not sampler:
        return ""
    api.llama_sampler_free(sampler)
    return found


def _without_limits(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_limits(item) for item in part]
    if not isinstance(part, dict) or "const" in part or "enum" in part:
        return part
    return {
        key: {name: _without_limits(one) for name, one in value.items()}
        if key in ("properties", "$defs")
        else _without_limits(value)
        for key, value in part.items()
        if key not in LIMITS
    }
