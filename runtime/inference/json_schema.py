"""GBNF grammar from a JSON schema; unsupported keywords are rejected by name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from runtime.errors import UsageError
from runtime.model import libchat

ANNOTATIONS = {
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
    "$schema", "$id", "$comment", "$defs", "definitions",
}  # fmt: skip
"""Keywords that do not restrict the values."""
FORMATS = re.compile(r"date|time|date-time|uuid[1-5]?")

# Keywords that the converter uses for each type of schema; it silently ignores all others.
OBJECT = {"type", "properties", "required", "additionalProperties"}
ARRAY = {"type", "items", "minItems", "maxItems"}


def grammar(text: str) -> str:
    """Return the GBNF grammar for the JSON schema `text`; raise UsageError if it is unsupported."""
    try:
        return libchat.grammar(json.dumps(document(text)))
    except libchat.LibraryError as exc:
        raise UsageError(
            f"the JSON schema cannot be turned into a grammar: {exc}",
            hint="simplify it, or write the grammar yourself with --grammar",
        ) from exc


def document(text: str) -> dict[str, Any]:
    """Return the JSON schema `text` as an object; raise UsageError if it is unsupported."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"the JSON schema is not JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise UsageError(
            f"the JSON schema is {json.dumps(found)}, expected an object",
            hint="{} stands for any JSON object",
        )
    try:
        _check(found, "#")
    except UsageError:
        raise
    except RecursionError:
        raise UsageError("the JSON schema is nested too deeply") from None
    except Exception as exc:  # an untrusted schema can have anything anywhere
        raise UsageError(f"the JSON schema is no schema: {exc}") from exc
    return found


def _check(schema: Any, where: str) -> None:
    """Raise UsageError at the first keyword that the grammar would not enforce."""
    if not isinstance(schema, dict):
        raise UsageError(
            f"the JSON schema has {json.dumps(schema)} at {where}, expected an object",
            hint="use {} for any value",
        )
    for keyword in schema:
        if keyword not in _supported_keywords(schema):
            raise _unsupported(keyword, where)
    kind = schema.get("type")
    missing = set(schema.get("required", ())) - set(schema.get("properties", ()))
    if missing and "$ref" not in schema and "allOf" not in schema:
        raise _unsupported("required", where, f"{min(missing)!r} is not among the properties")
    if "format" in schema and not FORMATS.fullmatch(str(schema["format"])):
        raise _unsupported("format", where, f"'{schema['format']}' is not known")
    pattern = str(schema.get("pattern", "^$"))
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise _unsupported("pattern", where, "it must begin with ^ and end with $")
    if "$ref" in schema and not str(schema["$ref"]).startswith("#/"):
        raise _unsupported("$ref", where, "it must begin with #/")
    for keyword in ("enum", "anyOf", "oneOf"):
        if schema.get(keyword, True) == []:
            raise _unsupported(keyword, where, "it is empty")
    if kind == "array" and schema.get("items") is False:
        raise _unsupported("items", where)
    for part, place in _subschemas(schema, where):
        _check(part, place)


def _supported_keywords(schema: dict[str, Any]) -> set[str]:
    """Return the keywords enforced in this schema; same order of tests as in the converter."""
    kind = schema.get("type")
    if "$ref" in schema:
        return {"$ref"} | ANNOTATIONS
    for keyword in ("oneOf", "anyOf"):
        if keyword in schema:
            return {keyword} | ANNOTATIONS
    if isinstance(kind, list):
        return {"type"} | ANNOTATIONS
    for keyword in ("const", "enum"):
        if keyword in schema:
            return {keyword, "type"} | ANNOTATIONS
    if kind in (None, "object") and schema.keys() & {"properties", "additionalProperties"}:
        return OBJECT | ANNOTATIONS
    if kind in (None, "array") and "items" in schema:
        return ARRAY | ANNOTATIONS
    if kind in (None, "array") and "prefixItems" in schema:
        return {"type", "prefixItems"} | ANNOTATIONS
    if kind in (None, "string"):
        for keywords in ({"pattern"}, {"format"}, {"minLength", "maxLength"}):
            if schema.keys() & keywords and (kind or "minLength" not in keywords):
                return {"type"} | keywords | ANNOTATIONS
    return {"type"} | ANNOTATIONS


def _subschemas(schema: dict[str, Any], where: str) -> Iterator[tuple[Any, str]]:
    """Yield the schemas nested directly in `schema`, with their JSON pointers."""
    for keyword in ("properties", "$defs", "definitions"):
        for name, part in schema.get(keyword, {}).items():
            yield part, f"{where}/{keyword}/{name}"
    for keyword in ("anyOf", "oneOf", "prefixItems"):
        for number, part in enumerate(schema.get(keyword, ())):
            yield part, f"{where}/{keyword}/{number}"
    for keyword in ("items", "additionalProperties"):
        part = schema.get(keyword)
        if part is not None and not (keyword == "additionalProperties" and isinstance(part, bool)):
            yield part, f"{where}/{keyword}"


def _unsupported(
    keyword: str, where: str, why: str = "a grammar cannot express it here"
) -> UsageError:
    return UsageError(
        f"the JSON schema uses '{keyword}' at {where}: {why}",
        hint="leave it out and check the answer afterwards",
    )
