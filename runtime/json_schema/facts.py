"""What can be said of JSON schemas without a converter: references, types, whether two overlap."""

from __future__ import annotations

import math
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from runtime import bounds
from runtime.errors import UsageError
from runtime.json_schema.validator import pointer

Written = dict[str, Any] | None
"""A schema for the converter; None if no value follows it."""
Part = tuple[Any, str]
"""A schema and the pointer to it."""
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
OWN_KEYWORDS = {
    "object": (
        "properties", "required", "additionalProperties", "patternProperties", "propertyNames",
        "minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies",
    ),
    "array": ("items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems",
              "contains"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}  # fmt: skip
"""Keywords that say something about values of one type only, in the converter's order."""


class Writer(Protocol):
    """Writes the parts of a document for the converter."""

    @property
    def lenient(self) -> bool:
        """Return whether what contradicts itself is left out, for no value follows the whole."""

    def note(self, keyword: str, at: str) -> None:
        """Note that a keyword was left out."""

    def part(self, parts: Sequence[Part], *, inside: bool = False) -> Written:
        """Return a schema for the values that follow all `parts`; `inside` is one level deeper."""

    def is_valid(self, value: Any, schema: Any, at: str) -> bool:
        """Return whether a value follows a part of the document; True if that cannot be said."""

    def quietly(self, parts: Sequence[Part]) -> Written:
        """Return the same as `part`, inside, and note nothing."""


class References:
    """The places in a document that `$ref` may name."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._names: dict[str, str] = {}
        """Anchors and identities, and the pointers of their schemas."""
        self._own = str(document.get("$id") or document.get("id") or "").rstrip("#")
        self.nested = False
        """Whether a part has an identity of its own, to which its references are relative."""
        for path, part in _parts(document):
            for key in ("$anchor", "$dynamicAnchor"):
                if isinstance(part.get(key), str):
                    self._names[f"#{part[key]}"] = pointer(path)
            identity = part.get("$id")
            if path and isinstance(identity, str):
                self._names[identity] = pointer(path)
                self.nested |= not identity.startswith("#")

    def find(self, reference: str) -> str | None:
        """Return the pointer of what a reference names; None for something elsewhere."""
        reference = urllib.parse.unquote(reference)
        if self._own and reference.startswith(self._own):
            reference = reference[len(self._own) :] or "#"
        if reference in self._names:
            return self._names[reference]
        reference = reference.rstrip("/") if reference == "#/" else reference
        return reference if reference == "#" or reference.startswith("#/") else None

    def at(self, place: str) -> Any:
        """Return what is at a pointer; raise LookupError if there is nothing."""
        found: Any = self._document
        for step in place.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list):
                if not key.isdecimal():
                    raise LookupError(place)
                found = found[int(key)]
            elif isinstance(found, Mapping):
                found = found[key]
            else:
                raise LookupError(place)
        return found


def require_shallow(document: Any) -> None:
    """Raise UsageError if JSON is nested too deeply; it names the place."""
    level: list[tuple[tuple[Any, ...], Any]] = [((), document)]
    for _ in range(bounds.JSON_DEPTH):
        level = [((*path, key), part) for path, value in level for key, part in _children(value)]
        if not level:
            return
    place = pointer(level[0][0][:8])
    raise UsageError(
        f"the JSON schema is nested deeper than {bounds.JSON_DEPTH} levels, below {place}/…",
        hint="name its parts in $defs and refer to them",
    )


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, Mapping):
        yield path, value
    for key, part in _children(value):
        yield from _parts(part, (*path, key))


def types_of(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the types that a schema allows by `type`, `const` or `enum`; None for all."""
    given = schema.get("type")
    if isinstance(given, str):
        return frozenset({given})
    if isinstance(given, list):
        return frozenset(given)
    values = values_of(schema)
    return None if values is None else frozenset(type_of(value) for value in values)


def type_of(value: Any) -> str:
    """Return the name of a value's type; numbers without a fraction are integers."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def values_of(schema: Mapping[str, Any]) -> Sequence[Any] | None:
    """Return the values that a schema lists; None if it lists none."""
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return values if isinstance(values, list) else None


def common_types(several: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    """Return the types that all allow; None for all types."""
    found: frozenset[str] | None = None
    for types in several:
        if types is not None:
            found = types if found is None else _both(found, types)
    return found


def _both(ours: frozenset[str], theirs: frozenset[str]) -> frozenset[str]:
    """Return the types in both; every integer is a number."""
    found = _with_integer(ours) & _with_integer(theirs)
    return found - {"integer"} if "number" in found else found


def _with_integer(types: frozenset[str]) -> frozenset[str]:
    return types | {"integer"} if "number" in types else types


def implied_type(schemas: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the type that keywords without a `type` speak of; None if there are none."""
    for kind, keywords in OWN_KEYWORDS.items():
        if any(keyword in schema for schema in schemas for keyword in keywords):
            return kind
    return None


def overlap(ours: Any, theirs: Any, references: References, depth: int = 0) -> bool:
    """Return whether a value may follow both schemas; True if that cannot be told."""
    ours, theirs = _resolved(ours, references), _resolved(theirs, references)
    if depth > 4 or not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
        return True
    if common_types([types_of(ours), types_of(theirs)]) == frozenset():
        return False
    our_values, their_values = values_of(ours), values_of(theirs)
    if our_values is not None and their_values is not None:
        return any(one == other for one in our_values for other in their_values)
    if types_of(ours) != types_of(theirs) or types_of(ours) != frozenset({"object"}):
        return True
    return all(
        overlap(_property(ours, name), _property(theirs, name), references, depth + 1)
        for name in {*ours.get("required", ())} & {*theirs.get("required", ())}
    )


def _property(schema: Mapping[str, Any], name: str) -> Any:
    return schema.get("properties", {}).get(name, True)


def _resolved(schema: Any, references: References) -> Any:
    """Return the schema that a mere reference stands for."""
    for _ in range(8):
        if not isinstance(schema, Mapping):
            break
        if isinstance(schema.get("$ref"), str):
            place = references.find(schema["$ref"])
            if place is None:
                return True
            try:
                schema = references.at(place)
            except LookupError:
                return True
        elif isinstance(schema.get("allOf"), list) and len(schema["allOf"]) == 1:
            if types_of(schema) is not None:
                break
            schema = schema["allOf"][0]
        else:
            break
    return schema


def integer_bounds(schemas: Sequence[Mapping[str, Any]]) -> tuple[int | None, int | None]:
    """Return the least and the greatest integer that all schemas allow, None for no limit."""
    lows, highs = [], []
    for schema in schemas:
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        if above is True and low is not None:  # as in draft 4
            above, low = low, None
        if below is True and high is not None:
            below, high = high, None
        lows += [math.ceil(low)] if low is not None else []
        highs += [math.floor(high)] if high is not None else []
        lows += [math.floor(above) + 1] if above is not None and above is not False else []
        highs += [math.ceil(below) - 1] if below is not None and below is not False else []
    return max(lows, default=None), min(highs, default=None)


def is_plain_name(name: str) -> bool:
    """Return whether the converter can tell a property's name from others."""
    return not re.search(r'["\\\]\[^\x00-\x1f\x7f]', name) and len(name) <= 256
