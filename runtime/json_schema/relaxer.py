"""Relaxer: a JSON schema turned into one that the engine's converter holds answers to.

The converter throws on some keywords, ignores others, and takes some together wrongly. What it
knows, in the form in which it knows it, is written anew here: whatever it then allows follows the
schema. What cannot be written in that form is left out and noted. Where a form is narrower than the
schema (no properties that are not named, the usual ways to write an address), nothing is noted:
the answer still follows the schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime import bounds
from runtime.errors import UsageError
from runtime.json_schema import facts
from runtime.json_schema.definitions import with_definitions
from runtime.json_schema.facts import Part, References, Written
from runtime.json_schema.objects import ObjectWriter
from runtime.json_schema.validator import SchemaValidator, Unchecked
from runtime.json_schema.values import write_array, write_number, write_string

DEPTH_KEPT = bounds.SCHEMA_LEVELS // 2
"""Depth from which definitions are written later, each from the top."""
NOTHING = None
"""Stands for a schema that no value follows."""
ELSEWHERE = (
    "not", "if", "dependentSchemas", "dependentRequired", "dependencies", "contains",
    "unevaluatedItems", "$dynamicRef", "$recursiveRef",
)  # fmt: skip
"""Keywords that no grammar of the converter's can express."""


@dataclass(frozen=True, order=True)
class Relaxation:
    """A keyword that the grammar does not hold the answer to."""

    at: str
    """The pointer of its schema."""
    keyword: str

    def __str__(self) -> str:
        return f"{self.keyword} at {self.at}"


class Relaxer:
    """Writes one document anew."""

    def __init__(self, document: Mapping[str, Any], validator: SchemaValidator) -> None:
        self.references = References(document)
        self._document = document
        self._validator = validator
        self._notes: dict[Relaxation, None] = {}
        """What was left out so far, in order."""
        self._definitions: dict[str, Written] = {}
        """By the pointers of what they were; those that are being written are empty."""
        self._waiting: list[str] = []
        """Definitions that are to be written."""
        self.lenient = False
        self._left = bounds.SCHEMA_PARTS
        self._depth = 0
        self._here: tuple[str, ...] = ()
        """Places of the schemas that the value at hand is to follow."""

    @property
    def notes(self) -> tuple[Relaxation, ...]:
        """What was left out."""
        return tuple(self._notes)

    def note(self, keyword: str, at: str) -> None:
        """Note that a keyword was left out."""
        self._notes[Relaxation(at, keyword)] = None

    def quietly(self, parts: Sequence[Part]) -> Written:
        """Return the same as `part`, inside, and note nothing."""
        noted = dict(self._notes)
        written = self.part(parts, inside=True)
        self._notes = noted
        return written

    def write(self, *, named: bool = True) -> dict[str, Any]:
        """Return the whole; unless `named`, its root is no reference.

        Raise UsageError if it is too large or too deep, or if a reference leads nowhere.
        """
        found = self._root(named)
        if found is NOTHING:
            self.lenient, self._notes, self._definitions = True, {}, {}
            found = self._root(named)
        if found is NOTHING:
            self.note("the whole", "#")
            found = {}
        found = with_definitions(found, self._definitions, self)
        return found or {"anyOf": [{}]}  # with nothing at all the library writes no grammar

    def _root(self, named: bool) -> Written:
        found = self.part([(self._document, "#")])
        while self._waiting:
            place = self._waiting.pop()
            self._definitions[place] = self.part([(self.references.at(place), place)])
        while not named and found is not None and "$ref" in found:
            found = self._definitions[found["$ref"]]
        return found

    def part(self, parts: Sequence[Part], *, inside: bool = False) -> Written:
        """Return a schema for the values that follow all `parts`; `inside` is one level deeper."""
        here = self._here
        self._depth += 1
        self._count(parts[-1][1] if parts else "#")
        if self._depth > bounds.SCHEMA_LEVELS:
            raise UsageError(
                f"the JSON schema is nested deeper than {bounds.SCHEMA_LEVELS} levels, at "
                f"{parts[-1][1]}",
                hint="name its parts in $defs and refer to them",
            )
        if inside:
            self._here = ()
        try:
            return self._part(parts)
        finally:
            self._here = here
            self._depth -= 1

    def _count(self, at: str) -> None:
        self._left -= 1
        if self._left < 0:
            raise UsageError(
                f"the JSON schema has more than {bounds.SCHEMA_PARTS} parts when it is written "
                f"out, at {at}",
                hint="ask for less at once",
            )

    def _part(self, parts: Sequence[Part]) -> Written:
        parts = [part for part in parts if part[0] is not True and _says_something(part[0])]
        if not parts:
            return {}
        if len(parts) == 1 and isinstance(parts[0][0], Mapping):
            schema, at = parts[0]
            said = [keyword for keyword in schema if keyword not in ANNOTATIONS]
            if said == ["$ref"]:
                return self._reference(schema["$ref"], at)
        bases: list[Part] = []
        choices: list[tuple[str, Sequence[Any], str]] = []
        if not self._flatten(parts, bases, choices):
            return NOTHING
        if choices:
            return self._alternatives(bases, choices)
        return self._plain(bases)

    def _reference(self, reference: Any, at: str) -> Written:
        place = self._place(reference, at)
        if place is None:
            return {}
        if place in self._here:  # it leads back to itself: nothing is added by that
            return NOTHING
        if place not in self._definitions:
            self._definitions[place] = {}
            if self._depth > DEPTH_KEPT:
                self._waiting.append(place)
                return {"$ref": place}
            self._here = (*self._here, place)
            self._definitions[place] = self.part([(self.references.at(place), place)])
        if self._definitions[place] is NOTHING:
            return NOTHING
        return {"$ref": place}

    def _place(self, reference: Any, at: str) -> str | None:
        """Return the pointer of what is referred to, None if that is elsewhere."""
        if not isinstance(reference, str):
            raise _no_schema(reference, f"{at}/$ref", "a string")
        place = self.references.find(reference)
        if place is not None:
            try:
                target = self.references.at(place)
            except (LookupError, ValueError):
                place = None
                if not self.references.nested:
                    raise UsageError(
                        f"the JSON schema refers to {reference!r} at {at}/$ref, "
                        "and there is nothing",
                        hint="$ref names a place in the schema itself: #/$defs/…",
                    ) from None
            else:
                if isinstance(target, Mapping | bool):
                    return place
        self.note("$ref", at)
        return None

    def _flatten(
        self, parts: Sequence[Part], bases: list[Part], choices: list[tuple[str, Any, str]]
    ) -> bool:
        """Sort what `parts` and all that they refer to say; return whether anything may follow."""
        waiting, seen = list(parts), set[str]()
        while waiting:
            schema, at = waiting.pop(0)
            self._count(at)
            if schema is False:
                return False
            if schema is True:
                continue
            if not isinstance(schema, Mapping):
                raise _no_schema(schema, at, "an object")
            rest = dict(schema)
            if rest.pop("nullable", None) is True:
                choices.append(("anyOf", [rest, {"type": "null"}], at))
                continue
            if "$ref" in rest:
                place = self._place(rest.pop("$ref"), at)
                if place is not None and place not in seen:
                    seen.add(place)
                    waiting.append((self.references.at(place), place))
            for number, part in enumerate(rest.pop("allOf", ())):
                waiting.append((part, f"{at}/allOf/{number}"))
            for keyword in ("anyOf", "oneOf"):
                if keyword in rest:
                    choices.append((keyword, rest.pop(keyword), at))
            for keyword in ELSEWHERE:
                if keyword in rest and (keyword != "if" or rest.keys() & {"then", "else"}):
                    self.note(keyword, at)
            if _says_something(rest):
                bases.append((rest, at))
        return True

    def _alternatives(
        self, bases: list[Part], choices: list[tuple[str, Sequence[Any], str]]
    ) -> Written:
        (keyword, options, at), *others = choices
        rest: list[Part] = [*bases, *(({name: list(some)}, place) for name, some, place in others)]
        if len(options) > bounds.ALTERNATIVES:
            self.note(keyword, at)
            return self.part(rest)
        if keyword == "oneOf" and any(
            facts.overlap(ours, theirs, self.references)
            for number, ours in enumerate(options)
            for theirs in options[:number]
        ):
            self.note(keyword, at)
        found = []
        for number, option in enumerate(options):
            # The pointers of the other choices are lost here; they lie below the same schema.
            written = self.part([*rest, (option, f"{at}/{keyword}/{number}")])
            if written is not NOTHING and written not in found:
                found.append(written)
        if not found:
            return NOTHING
        if {} in found:
            return {}
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _plain(self, bases: Sequence[Part]) -> Written:
        """Return what follows from keywords about the value itself."""
        schemas = [schema for schema, _ in bases]
        if any(facts.values_of(schema) is not None for schema in schemas):
            return self._values(bases)
        types = facts.common_types([facts.types_of(schema) for schema in schemas])
        if types is None:
            implied = facts.implied_type(schemas)
            if implied is None:
                return {}
            types = frozenset({implied})
        found = []
        for kind in facts.TYPES:
            if kind in types:
                written = self._of_type(kind, bases)
                if written is not NOTHING:
                    found.append(written)
        if not found:
            return NOTHING
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _of_type(self, kind: str, bases: Sequence[Part]) -> Written:
        if kind == "object":
            return ObjectWriter(self, bases).write()
        if kind == "array":
            return write_array(self, bases)
        if kind == "string":
            return write_string(self, bases)
        if kind in ("integer", "number"):
            return write_number(self, bases, whole=kind == "integer")
        return {"type": kind}

    def _values(self, bases: Sequence[Part]) -> Written:
        """Return the listed values that follow all else that is said."""
        first = next(schema for schema, _ in bases if facts.values_of(schema) is not None)
        rest = {key: said for key, said in first.items() if key not in ("enum", "const")}
        others = [(rest if schema is first else schema, at) for schema, at in bases]
        others = [(schema, at) for schema, at in others if _says_something(schema)]
        found = []
        for value in facts.values_of(first) or ():
            if all(self.is_valid(value, schema, at) for schema, at in others):
                found.append(value)
        if not found:
            return NOTHING
        kinds = {facts.type_of(value) for value in found}
        kind = {"type": kinds.pop()} if len(kinds) == 1 else {}  # templates may ask for it
        return {**kind, "const": found[0]} if len(found) == 1 else {**kind, "enum": found}

    def is_valid(self, value: Any, schema: Any, at: str) -> bool:
        """Return whether a value follows a part of the document; True if that cannot be said."""
        try:
            return self._validator.is_valid_part(value, schema)
        except Unchecked:
            self.note("pattern", at)
            return True


ANNOTATIONS = {
    "title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly",
    "$schema", "$id", "id", "$comment", "$defs", "definitions", "$anchor", "$dynamicAnchor",
    "discriminator", "xml", "externalDocs", "contentEncoding", "contentMediaType",
}  # fmt: skip
"""Keywords that do not restrict the values."""


def _says_something(schema: Any) -> bool:
    return not isinstance(schema, Mapping) or bool(schema.keys() - ANNOTATIONS)


def _no_schema(found: Any, at: str, expected: str) -> UsageError:
    return UsageError(f"the JSON schema is not valid at {at}: {found!r} is not {expected}")
