"""Arrays, strings and numbers of JSON schemas, in the form that the engine's converter knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime import bounds
from runtime.json_schema import facts, formats
from runtime.json_schema.facts import Part, Writer, Written
from runtime.json_schema.pattern import Pattern
from runtime.json_schema.regex import Inexpressible

DIGITS_MAX = 10**16 - 1
"""The greatest number that the converter writes where there is no limit."""
WHOLE_MAX = 2**63 - 1
WIDEST = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def write_number(relaxer: Writer, bases: Sequence[Part], *, whole: bool) -> Written:
    """Return what follows for integers, or for all numbers."""
    schemas = [schema for schema, _ in bases]
    steps = [(schema["multipleOf"], at) for schema, at in bases if "multipleOf" in schema]
    if any(float(step).is_integer() for step, _ in steps):
        whole = True
    if not whole:
        for schema, at in bases:
            for keyword in (*WIDEST, "multipleOf"):
                if keyword in schema:
                    relaxer.note(keyword, at)
        return {"type": "number"}
    low, high = facts.integer_bounds(schemas)
    if low is not None and high is not None and low > high:
        return None
    steps = [(step, at) for step, at in steps if step != 1]
    if steps:
        few = low is not None and high is not None and high - low < 10**6
        if few and all(float(step).is_integer() for step, _ in steps):
            assert low is not None and high is not None
            values = [n for n in range(low, high + 1) if not any(n % int(s) for s, _ in steps)]
            if not values:
                return None
            if len(values) <= bounds.MULTIPLES:
                return {"type": "integer", "enum": values}
        for _, at in steps:
            relaxer.note("multipleOf", at)
    return _between(relaxer, bases, low, high)


def _between(relaxer: Writer, bases: Sequence[Part], low: int | None, high: int | None) -> Written:
    """Return a schema for integers with both limits: with one alone the converter errs."""
    if (low is not None and low > WHOLE_MAX) or (high is not None and high < -WHOLE_MAX):
        for schema, at in bases:
            for keyword in WIDEST:
                if keyword in schema:
                    relaxer.note(keyword, at)
        return {"type": "integer"}
    if low is None and high is None:
        return {"type": "integer"}
    most = DIGITS_MAX if low is None or low <= DIGITS_MAX else WHOLE_MAX
    least = -DIGITS_MAX if high is None or high >= -DIGITS_MAX else -WHOLE_MAX
    return {
        "type": "integer",
        "minimum": least if low is None else max(low, -WHOLE_MAX),
        "maximum": most if high is None else min(high, WHOLE_MAX),
    }


def write_string(relaxer: Writer, bases: Sequence[Part]) -> Written:
    """Return what follows for strings."""
    least = max((int(schema.get("minLength", 0)) for schema, _ in bases), default=0)
    tops = [int(schema["maxLength"]) for schema, _ in bases if "maxLength" in schema]
    most = min(tops, default=None)
    if most is not None and least > most:
        return None
    pattern = _pattern(relaxer, bases)
    if pattern is not None:
        pattern, long, short = pattern.limited(least, most)
        text = pattern.text()
        if not long:
            _note_all(relaxer, bases, "minLength")
        if not short:
            _note_all(relaxer, bases, "maxLength")
        return {"type": "string", "pattern": text}
    if most == 0:
        return {"const": ""}
    found: dict[str, Any] = {"type": "string"}
    if least > bounds.REPETITIONS:
        _note_all(relaxer, bases, "minLength")
    elif least:
        found["minLength"] = least
    if most is not None and most > bounds.REPETITIONS:
        _note_all(relaxer, bases, "maxLength")
    elif most is not None:
        found["maxLength"] = most
    return found


def _pattern(relaxer: Writer, bases: Sequence[Part]) -> Pattern | None:
    """Return the one pattern that the grammar holds to; note all others."""
    held: tuple[str, Pattern] | None = None
    for keyword in ("pattern", "format"):
        for schema, at in bases:
            source = schema.get(keyword)
            if not isinstance(source, str):
                continue
            if keyword == "format" and source in formats.PATTERNS:
                source = f"^(?:{formats.PATTERNS[source]})$"
            elif keyword == "format":  # one that the specification does not know says nothing
                if source in formats.UNHELD:
                    relaxer.note(keyword, at)
                continue
            if held and source == held[0]:
                continue
            try:
                pattern = Pattern.of(source)
                pattern.text()
            except Inexpressible:
                relaxer.note(keyword, at)
                continue
            if held:
                relaxer.note(keyword, at)
            held = held or (source, pattern)
    return held[1] if held else None


def _note_all(relaxer: Writer, bases: Sequence[Part], keyword: str) -> None:
    for schema, at in bases:
        if keyword in schema:
            relaxer.note(keyword, at)


def write_array(relaxer: Writer, bases: Sequence[Part]) -> Written:
    """Return what follows for arrays."""
    fixed = max((len(_first_items(schema)) for schema, _ in bases), default=0)
    least = max((int(schema.get("minItems", 0)) for schema, _ in bases), default=0)
    tops = [int(schema["maxItems"]) for schema, _ in bases if "maxItems" in schema]
    most = min(tops, default=None)
    if most is not None and least > most:
        return None
    if most == 0:
        return {"const": []}
    if fixed:
        length = max(fixed, least) if most is None else min(most, max(fixed, least))
        if length <= bounds.TUPLE:
            return _tuple(relaxer, bases, length, least)
        _note_all(relaxer, bases, "prefixItems")
    items = relaxer.part(_items(bases), inside=True) if not fixed else {}
    if items is None:
        return None if least else {"const": []}
    if most != 1:
        for schema, at in bases:
            if schema.get("uniqueItems") is True:
                relaxer.note("uniqueItems", at)
    found: dict[str, Any] = {"type": "array"}
    if items:
        found["items"] = items
    if least > bounds.REPETITIONS:
        _note_all(relaxer, bases, "minItems")
    elif least:
        found["minItems"] = least
    if most is not None and most > bounds.REPETITIONS:
        _note_all(relaxer, bases, "maxItems")
    elif most is not None:
        found["maxItems"] = most
    return found


def _tuple(relaxer: Writer, bases: Sequence[Part], length: int, least: int) -> Written:
    """Return a schema for exactly `length` items, or for fewer if no more are possible."""
    found = []
    for number in range(length):
        item = relaxer.part(_items(bases, number), inside=True)
        if item is None:
            if number < least:
                return None
            break
        found.append(item)
    if not found:
        return {"const": []}
    if len(found) > 1:
        _note_all(relaxer, [base for base in bases if base[0].get("uniqueItems")], "uniqueItems")
    return {"type": "array", "prefixItems": found}


def _items(bases: Sequence[Part], number: int | None = None) -> list[Part]:
    """Return what the item at a place has to follow, or one beyond those that are listed."""
    found: list[Part] = []
    for schema, at in bases:
        first = _first_items(schema)
        if number is not None and number < len(first):
            listed = "prefixItems" if "prefixItems" in schema else "items"
            found.append((first[number], f"{at}/{listed}/{number}"))
            continue
        rest = "additionalItems" if isinstance(schema.get("items"), list) else "items"
        if isinstance(schema.get(rest), Mapping | bool):
            found.append((schema[rest], f"{at}/{rest}"))
    return found


def _first_items(schema: Mapping[str, Any]) -> Sequence[Any]:
    """Return the schemas of the first items, as the drafts before 2020 have them, too."""
    given = schema.get("prefixItems")
    if not isinstance(given, list):
        given = schema.get("items")
    return given if isinstance(given, list) else ()
