"""Definitions of a schema that was written for the converter, under short names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.json_schema.facts import Writer, Written


def with_definitions(
    found: dict[str, Any], definitions: Mapping[str, Written], writer: Writer
) -> dict[str, Any]:
    """Return a schema with those definitions that it refers to, by pointers, as its `$defs`.

    What no finite value follows is left out: a definition that requires itself, for one.
    """
    names: dict[str, str] = {}
    waiting: list[str] = []
    endless = _endless(definitions)

    def rename(part: Any) -> Any:
        if isinstance(part, list):
            return [rename(item) for item in part]
        if not isinstance(part, dict) or "const" in part or "enum" in part:
            return part
        place = part.get("$ref")
        if isinstance(place, str):
            if place in endless or definitions[place] is None:
                writer.note("required", place)
                return {}
            if place not in names:
                names[place] = f"D-{len(names)}"
                waiting.append(place)
            return {"$ref": f"#/$defs/{names[place]}"}
        return {
            key: {name: rename(one) for name, one in value.items()}
            if key == "properties"
            else rename(value)
            for key, value in part.items()
        }

    used: dict[str, Any] = {}
    root: dict[str, Any] = rename(found)
    while waiting:
        place = waiting.pop()
        used[names[place]] = rename(definitions[place])
    return {**root, "$defs": used} if used else root


def _endless(definitions: Mapping[str, Written]) -> set[str]:
    """Return the definitions that no finite value follows: they require themselves."""
    endless = set(definitions)
    while ended := {place for place in endless if _ends(definitions[place], endless)}:
        endless -= ended
    return endless


def _ends(schema: Written, endless: set[str]) -> bool:
    """Return whether a finite value follows, if none follows the `endless` definitions."""
    if schema is None:
        return True  # nothing refers to it any more
    if "$ref" in schema:
        return schema["$ref"] not in endless
    if "anyOf" in schema:
        return any(_ends(option, endless) for option in schema["anyOf"])
    if schema.get("minItems"):
        return _ends(schema.get("items", {}), endless)
    needed = [schema["properties"][name] for name in schema.get("required", ())]
    return all(_ends(part, endless) for part in [*needed, *schema.get("prefixItems", ())])
