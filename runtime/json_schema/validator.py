"""Validator of JSON schemas and of answers: jsonschema, loaded when first needed."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runtime.errors import UsageError
from runtime.json_schema import pattern as patterns
from runtime.json_schema import persistent, time_limit
from runtime.json_schema.regex import Inexpressible

LIST_OF_SCHEMAS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
MAP_OF_SCHEMAS = (
    "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies",
)  # fmt: skip
SCHEMA = (
    "items", "additionalItems", "additionalProperties", "contains", "if", "then", "else", "not",
    "propertyNames", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
OLDER = ("items", "exclusiveMinimum", "exclusiveMaximum", "dependencies")
"""Keywords whose values were of other types in older drafts."""
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
NULL = {"type": "null"}


class Unchecked(Exception):
    """Something that cannot be checked: a schema elsewhere, or a pattern that takes too long."""


class SchemaValidator:
    """A schema that is valid itself, and whether values follow it."""

    def __init__(self, document: Mapping[str, Any] | bool) -> None:
        """Raise UsageError if the document is no JSON schema; it names the place."""
        chosen = _class_for(document)
        self._slow = _is_slow(document)
        self._validator = chosen(
            with_null(document), format_checker=chosen.FORMAT_CHECKER, registry=_registry()
        )

    def is_valid(self, value: Any) -> bool:
        """Return whether a value follows the schema; raise Unchecked if that cannot be said."""
        if self._slow:
            raise Unchecked("a pattern may take too long")
        return self._check(self._validator, value)

    def is_valid_part(self, value: Any, schema: Any) -> bool:
        """Return the same of a part of the schema, whose references are those of the whole."""
        return self._check(self._validator.evolve(schema=with_null(schema)), value)

    @staticmethod
    def _check(validator: Any, value: Any) -> bool:
        from referencing.exceptions import Unresolvable

        try:
            return bool(validator.is_valid(value))
        except (Unresolvable, RecursionError, re.error, ArithmeticError) as exc:
            raise Unchecked(str(exc)) from exc


def with_null(schema: Any) -> Any:
    """Return a schema in which null is allowed where OpenAPI's `nullable` says so."""
    if not isinstance(schema, Mapping):
        return schema
    found = dict(schema)
    for key in SCHEMA:
        if isinstance(found.get(key), Mapping):
            found[key] = with_null(found[key])
    for key in LIST_OF_SCHEMAS:
        if isinstance(found.get(key), list):
            found[key] = [with_null(part) for part in found[key]]
    for key in MAP_OF_SCHEMAS:
        if isinstance(found.get(key), Mapping):
            found[key] = {name: with_null(part) for name, part in found[key].items()}
    if found.get("nullable") is not True:
        return found
    outer = {
        key: found.pop(key) for key in ("$schema", "$id", "$defs", "definitions") if key in found
    }
    del found["nullable"]
    return {**outer, "anyOf": [found, NULL]}


def _is_slow(document: Any) -> bool:
    """Return whether jsonschema's own search for names may take long.

    For `unevaluatedProperties` it looks for patterns in all of a schema.
    """
    if '"unevaluatedProperties"' not in json.dumps(document):
        return False
    return any(patterns.is_slow(pattern, 1000) for pattern in _patterns(document))


def _patterns(value: Any) -> Iterator[str]:
    """Yield the keys of all that may be `patternProperties`."""
    if isinstance(value, Mapping):
        if isinstance(value.get("patternProperties"), Mapping):
            yield from value["patternProperties"]
        for part in value.values():
            yield from _patterns(part)
    elif isinstance(value, list):
        for part in value:
            yield from _patterns(part)


def _class_for(document: Any) -> Any:
    """Return jsonschema's class for the draft that a document is written in.

    Where it does not say, that is the newest by whose rules it is valid.
    """
    classes = _classes()
    named = document.get("$schema") if isinstance(document, Mapping) else None
    if isinstance(named, str) and named.rstrip("#") in classes:
        candidates = [classes[named.rstrip("#")]]
    else:
        candidates = [*classes.values()]
    error = None
    for candidate in candidates:
        error = _first_error(candidate, document)
        if error is None:
            return candidate
        if not _is_older(candidates[0], document):
            break
    raise error or UsageError("there is no draft of JSON schema to check it by")


def _is_older(newest: Any, document: Any) -> bool:
    """Return whether only what was written otherwise in older drafts keeps it from being valid."""
    return all(_is_of_older(error) for error in _errors(newest, document))


def _errors(candidate: Any, document: Any) -> list[Any]:
    """Return in what a document is no schema; raise UsageError if it takes too long to say."""
    with time_limit.limited():
        meta = candidate(candidate.META_SCHEMA, registry=_registry())
        return [*meta.iter_errors(document)]


def _is_of_older(error: Any) -> bool:
    return bool(error.absolute_path) and error.absolute_path[-1] in OLDER


def _first_error(candidate: Any, document: Any) -> UsageError | None:
    from jsonschema.exceptions import best_match

    try:
        errors = _errors(candidate, document)
        error = best_match([one for one in errors if not _is_of_older(one)] or errors)
    except RecursionError:
        return UsageError("the JSON schema is nested too deeply")
    if error is None:
        return None
    place = pointer(error.absolute_path)
    message = error.message if len(error.message) < 200 else f"{error.message[:200]}…"
    return UsageError(
        f"the JSON schema is not valid at {place}: {message}",
        hint="see https://json-schema.org for what a schema may hold",
    )


def load() -> None:
    """Load what checks schemas, which takes a tenth of a second."""
    _classes()
    _registry()


def pointer(path: Any) -> str:
    """Return the JSON pointer of a path, beginning with #."""
    return "#" + "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in path)


@functools.cache
def _classes() -> Mapping[str, Any]:
    """Return jsonschema's classes by the URIs of their drafts, the newest first."""
    persistent.stand_in()
    import jsonschema
    from jsonschema import validators

    rules = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    found = {}
    for name in ("Draft202012", "Draft201909", "Draft7", "Draft6", "Draft4"):
        given = getattr(jsonschema, f"{name}Validator")
        made = validators.extend(given, {**rules, **_timed(given.VALIDATORS)})
        key = "id" if name == "Draft4" else "$id"
        found[given.META_SCHEMA[key].rstrip("#")] = made
    return found


def _timed(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules by which a schema of schemas comes to each part of a document."""
    return {name: time_limit.timed(rule) for name, rule in known.items() if name in REFERENCES}


@functools.cache
def _registry() -> Any:
    from jsonschema_specifications import REGISTRY

    return REGISTRY  # what is not in there is not fetched either


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if validator.is_type(instance, "string") and not matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, part in patterns.items():
        for name, value in instance.items():
            if matches(pattern, name):
                yield from validator.descend(value, part, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, additional: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if not validator.is_type(instance, "object"):
        return
    for name, value in instance.items():
        known = name in schema.get("properties", ())
        if known or any(matches(pattern, name) for pattern in schema.get("patternProperties", ())):
            continue
        if additional is False:
            yield ValidationError(f"{name!r} is not among the properties")
        elif isinstance(additional, Mapping):
            yield from validator.descend(value, additional, path=name)


def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern is found in a text; raise Unchecked if that cannot be said.

    The server must not be held up by a pattern that goes back and forth for hours. Letters and
    digits are those of ASCII, as in ECMAScript.
    """
    if patterns.is_slow(pattern, len(text)):
        try:
            return patterns.Pattern.of(pattern).holds(text)
        except Inexpressible:
            raise Unchecked(f"the pattern {pattern!r} may take too long") from None
    try:
        return re.search(pattern, text, re.ASCII) is not None
    except (re.error, RecursionError, OverflowError) as exc:
        raise Unchecked(f"the pattern {pattern!r} is not known") from exc
