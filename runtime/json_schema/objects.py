"""Objects of JSON schemas, in the form that the engine's converter knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime import bounds
from runtime.json_schema import facts
from runtime.json_schema.facts import Part, Writer, Written
from runtime.json_schema.validator import Unchecked, matches


class ObjectWriter:
    """Writes the schema of objects that follow all bases."""

    def __init__(self, relaxer: Writer, bases: Sequence[Part]) -> None:
        self._relaxer = relaxer
        self._bases = bases

    def write(self) -> Written:
        """Return the schema, None if no object follows it."""
        required = [name for schema, _ in self._bases for name in schema.get("required", ())]
        required = list(dict.fromkeys(required))
        names = [name for schema, _ in self._bases for name in schema.get("properties", ())]
        listed = self._listed_names()
        names = list(dict.fromkeys([*names, *listed, *required]))
        if not self._is_small(names, required):
            for schema, at in self._bases:
                if schema.keys() & {"properties", "required"}:
                    self._relaxer.note("properties", at)
            return {"type": "object"}
        properties: dict[str, Any] = {}
        for name in names:
            written = None
            if self._may_be_named(name):
                written = self._relaxer.part(self._values_of(name), inside=True)
            if written is not None:
                properties[name] = written
            elif name in required:
                if not self._relaxer.lenient:
                    return None
                self._relaxer.note("required", f"{self._bases[0][1]}/properties/{_step(name)}")
                properties[name] = {}
        additional = self._additional(bool(names), bool(listed))
        if additional is not False and not all(facts.is_plain_name(name) for name in properties):
            additional = False
        if not self._counts_fit(len(properties), len(required), open_=additional is not False):
            return None
        return _object(properties, required, additional)

    def _is_small(self, names: Sequence[str], required: Sequence[str]) -> bool:
        longest = max((len(name) for name in names), default=0)
        optional = len(names) - len(required)
        return optional <= bounds.OPTIONAL_PROPERTIES and longest <= bounds.PROPERTY_NAME

    def _listed_names(self) -> list[str]:
        """Return the names of properties that `propertyNames` lists, if it does."""
        for schema, at in self._bases:
            if "propertyNames" in schema:
                written = self._names_written(schema, at)
                values = facts.values_of(written) if written else None
                if values is not None:
                    return [value for value in values if isinstance(value, str)]
        return []

    def _names_written(self, schema: Mapping[str, Any], at: str) -> Written:
        """Return how the converter would write the names as strings; its notes do not count."""
        part: Part = (schema["propertyNames"], f"{at}/propertyNames")
        return self._relaxer.quietly([({"type": "string"}, at), part])

    def _may_be_named(self, name: str) -> bool:
        return all(
            self._relaxer.is_valid(name, schema["propertyNames"], at)
            for schema, at in self._bases
            if "propertyNames" in schema
        )

    def _values_of(self, name: str) -> list[Part]:
        """Return what the value of a property has to follow."""
        found: list[Part] = []
        for schema, at in self._bases:
            known = name in schema.get("properties", ())
            if known:
                found.append((schema["properties"][name], f"{at}/properties/{_step(name)}"))
            for pattern, part in schema.get("patternProperties", {}).items():
                if self._matches(pattern, name, at):
                    known = True
                    found.append((part, f"{at}/patternProperties/{_step(pattern)}"))
            if not known and "additionalProperties" in schema:
                found.append((schema["additionalProperties"], f"{at}/additionalProperties"))
        return found

    def _matches(self, pattern: str, name: str, at: str) -> bool:
        try:
            return matches(pattern, name)
        except Unchecked:
            self._relaxer.note("patternProperties", at)
            return False

    def _additional(self, named: bool, listed: bool) -> Any:
        """Return the schema of properties that are not named, False for none.

        Where others are named and nothing is said of the rest, there is no rest.
        """
        parts: list[Part] = []
        said = not named
        for schema, at in self._bases:
            patterns = schema.get("patternProperties", {})
            rest = schema.get("additionalProperties", True)
            place = f"{at}/patternProperties"
            if patterns and rest is False:
                # Names that match a pattern, which the converter cannot ask for.
                if listed:
                    return False
                self._relaxer.note("patternProperties", at)
                parts.append(({"anyOf": [*patterns.values()]}, place))
            elif len(patterns) > 1:
                self._relaxer.note("patternProperties", at)
                parts += [({"anyOf": [*patterns.values()]}, place), (rest, at)]
            else:
                parts += [(part, place) for part in patterns.values()]
                parts.append((rest, f"{at}/additionalProperties"))
            said = said or "additionalProperties" in schema or bool(patterns)
        if listed or not said:
            return False
        written = self._relaxer.part(parts, inside=True)
        if written is None:
            return False
        for schema, at in self._bases:
            if "propertyNames" in schema and self._names_written(schema, at) != {"type": "string"}:
                self._relaxer.note("propertyNames", at)
            if schema.get("unevaluatedProperties", True) is not True:
                self._relaxer.note("unevaluatedProperties", at)
        return written

    def _counts_fit(self, properties: int, required: int, *, open_: bool) -> bool:
        """Return whether any number of properties is right; note what is not sure to be kept."""
        for schema, at in self._bases:
            least, most = schema.get("minProperties", 0), schema.get("maxProperties")
            if not open_ and properties < least:
                return False
            if most is not None and required > most:
                return False
            if required < least:
                self._relaxer.note("minProperties", at)
            if most is not None and (open_ or properties > most):
                self._relaxer.note("maxProperties", at)
        return True


def _object(properties: dict[str, Any], required: Sequence[str], additional: Any) -> dict[str, Any]:
    if not properties and additional == {}:
        return {"type": "object"}
    found: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        found["required"] = list(required)
    found["additionalProperties"] = True if additional == {} else additional
    return found


def _step(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
