"""JSON schemas: what a grammar can hold to is turned into one, the rest is checked in the end."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from typing import Any

import pydantic
import pytest
from grammars import Grammar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemas import SCHEMAS

from runtime import bounds
from runtime.errors import UsageError
from runtime.json_schema import schemas, time_limit
from runtime.json_schema.formats import PATTERNS
from runtime.json_schema.schemas import Schema

EXAMPLES = 150
GREETING = {
    "type": "object",
    "properties": {"b": {"type": "string"}, "a": {"type": "integer"}},
    "required": ["b", "a"],
}
TREE = {
    "type": "object",
    "properties": {"below": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["below"],
}


def prepared(document: Any) -> Schema:
    return schemas.prepared(json.dumps(document))


def examples(schema: Schema, count: int = EXAMPLES) -> list[str]:
    grammar = Grammar(schema.grammar)
    return [grammar.example(seed) for seed in range(count)]


def relaxed(document: Any) -> list[str]:
    return [str(one) for one in prepared(document).relaxed]


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_the_grammar_allows_is_json_and_follows_the_schema(name: str) -> None:
    schema = prepared(SCHEMAS[name])
    for text in examples(schema):
        json.loads(text)
        if not schema.relaxed:
            assert schema.held(text), text


@pytest.mark.parametrize(
    "document",
    [
        {"type": "integer", "minimum": 0},
        {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
        {"type": "integer", "minimum": 2.5, "maximum": 3.5},
        {"type": "integer", "minimum": 0, "maximum": 50, "multipleOf": 10},
        {"type": "number", "multipleOf": 1},
        {"type": "string", "pattern": "a+b"},
        {"type": "string", "pattern": '^["\\\\]{3}$'},
        {"type": "string", "pattern": "^.*$"},
        {"type": "string", "pattern": "^a|b$"},
        {"type": "string", "pattern": r"^(?P<x>\d{2,3})[\s\S][^\w]$"},
        {"type": "string", "pattern": "^[a-z]+$", "minLength": 3, "maxLength": 5},
        {"type": "string", "nullable": True},
        {"type": ["string", "null"], "maxLength": 3},
        {"allOf": [{"type": "string"}, {"minLength": 3}, {"maxLength": 4}]},
        {"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": GREETING}},
        {"$ref": "#/$defs/A", "required": ["c"], "$defs": {"A": GREETING}},
        {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": GREETING}},
        {"$ref": "#name", "$defs": {"A": {**GREETING, "$anchor": "name"}}},
        {"allOf": [GREETING, {"properties": {"a": {"maximum": 3}}, "required": ["d"]}]},
        TREE,
        {"type": "object", "required": ["a"]},
        {"properties": {"a": True, "b": False}},
        {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        {"enum": [1, "a", None, True], "type": ["string", "null"]},
        {"const": {"a": [1, 2.5, None]}},
        {"type": "array", "minItems": 2, "maxItems": 3},
        {"type": "array", "items": False},
        {"type": "array", "items": {"type": "integer"}, "maxItems": 1, "uniqueItems": True},
        {"type": "array", "prefixItems": [{"type": "integer"}], "minItems": 2},
        {"type": "array", "items": [{"type": "integer"}, {}], "additionalItems": False},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"abc": {}, "abd": {}}, "additionalProperties": True},
        {"type": "object", "properties": {"a^]\\": {}}, "additionalProperties": True},
        {"type": "object", "patternProperties": {"^a": {"type": "integer"}}},
        {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": TREE},
        {"minimum": 3, "exclusiveMinimum": True, "type": "integer"},
    ],
    ids=lambda document: json.dumps(document)[:60],
)  # fmt: skip
def test_an_equivalent_form_is_no_relaxation(document: Any) -> None:
    schema = prepared(document)
    assert () == schema.relaxed
    for text in examples(schema):
        assert schema.held(text), text


def test_no_duration_is_too_long_for_python() -> None:
    duration = prepared({"type": "string", "format": "duration"})
    longest = "P99999Y999999M99999999DT99999H9999999M999999999.999999S"
    assert re.fullmatch(PATTERNS["duration"], longest)
    for text in (*examples(duration), json.dumps(longest)):
        assert duration.held(text)
        pydantic.TypeAdapter(timedelta).validate_json(text)


@pytest.mark.parametrize(
    ("found", "document"),
    [
        (["minimum at #", "maximum at #"], {"type": "number", "minimum": 0, "maximum": 1}),
        (["multipleOf at #/items"], {"items": {"type": "number", "multipleOf": 0.01}}),
        (["multipleOf at #"], {"type": "integer", "multipleOf": 7}),
        (["uniqueItems at #"], {"type": "array", "items": {}, "uniqueItems": True}),
        (["contains at #"], {"type": "array", "contains": {}}),
        (["minItems at #"], {"type": "array", "minItems": 5000}),
        (["maxLength at #"], {"type": "string", "maxLength": 5000}),
        (["maxLength at #"], {"type": "string", "pattern": "a", "maxLength": 3}),
        (["pattern at #"], {"type": "string", "pattern": "^(?=a)"}),
        (["pattern at #"], {"type": "string", "pattern": "("}),
        (["format at #"], {"type": "string", "format": "regex"}),
        (["patternProperties at #"],
         {"type": "object", "patternProperties": {"^a": {}}, "additionalProperties": False}),
        (["propertyNames at #"], {"type": "object", "propertyNames": {"maxLength": 3}}),
        (["minProperties at #"], {"type": "object", "minProperties": 1}),
        (["maxProperties at #"], {"properties": {"a": {}, "b": {}}, "maxProperties": 1}),
        (["not at #"], {"not": {"type": "string"}}),
        (["if at #"], {"if": {}, "then": {}}),
        (["dependentRequired at #"], {"type": "object", "dependentRequired": {"a": ["b"]}}),
        (["oneOf at #"], {"oneOf": [{"type": "integer"}, {"type": "number"}]}),
        (["oneOf at #"], {"oneOf": [{"minLength": 3}, {"type": "integer"}]}),
        (["$ref at #/properties/a"], {"properties": {"a": {"$ref": "https://example.com/x"}}}),
        (["the whole at #"], {"$ref": "#"}),
        (["the whole at #"], {"enum": []}),
        (["the whole at #"], {"type": "integer", "minimum": 3, "maximum": 2}),
        (["required at #/properties/a"], {"properties": {"a": False}, "required": ["a"]}),
        (["required at #"], {"properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
    ],
)  # fmt: skip
def test_what_no_grammar_holds_to_is_named(found: list[str], document: Any) -> None:
    assert found == relaxed(document)
    for text in examples(prepared(document), 20):
        json.loads(text)


def test_the_order_of_properties_is_kept() -> None:
    for text in examples(prepared(GREETING), 10):
        assert ["b", "a"] == list(json.loads(text))


@pytest.mark.parametrize(
    ("place", "document"),
    [
        ("#/type", {"type": "strin"}),
        ("#/properties/a/type", {"properties": {"a": {"type": 3}}}),
        ("#/properties", {"properties": 3}),
        ("#/required/0", {"required": [3]}),
        ("#/$ref", {"$ref": 3}),
        ("#/properties/x/$ref", {"properties": {"x": {"$ref": "#/nowhere"}}}),
        ("#/anyOf", {"anyOf": []}),
        ("#/items/minLength", {"items": {"minLength": -1}}),
        ("#/items/0/type", {"items": [{"type": 3}]}),
        ("#/propertyNames", {"items": [], "propertyNames": 3}),
    ],
)
def test_what_is_no_schema_is_refused_by_its_place(place: str, document: Any) -> None:
    with pytest.raises(UsageError, match=rf" at {re.escape(place)}[,: ]"):
        prepared(document)


@pytest.mark.parametrize("text", ["", "no", "[]", "3", '{"minimum": NaN}', '{"minimum": 1e999}'])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="JSON"):
        schemas.prepared(text)


@pytest.mark.parametrize("text", ["{'a': 1}", "{bad", '{"a": 1,}'])
def test_what_is_not_json_says_how_it_is_written(text: str) -> None:
    with pytest.raises(UsageError, match="the JSON schema is not JSON: ") as caught:
        schemas.prepared(text)
    assert "double quotes, and no comma behind the last one" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "recursion"),
        ('{"items":' * 3000 + "{}" + "}" * 3000, "recursion"),
        ('{"items":' * 200 + "{}" + "}" * 200, "deeper than 128 levels, below #/items"),
        ('{"items":' * 90 + "{}" + "}" * 90, "deeper than 64 levels, at #/items"),
        (json.dumps({"enum": ["x" * 1_100_000]}), "at most 1048576"),
        (json.dumps({"allOf": [{"anyOf": [{"required": [f"{i}.{j}"]} for j in range(4)]}
                               for i in range(9)]}), "more than 10000 parts"),
    ],
)  # fmt: skip
def test_what_is_too_large_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        schemas.prepared(text)


def test_long_chains_of_definitions() -> None:
    chain = {
        f"d{i}": {"properties": {"x": {"$ref": f"#/$defs/d{i + 1}"}}, "required": ["x"]}
        for i in range(500)
    }
    schema = prepared({"$ref": "#/$defs/d0", "$defs": {**chain, "d500": {"type": "integer"}}})
    assert () == schema.relaxed


def test_what_is_large_is_turned_in_time() -> None:
    many = {f"p{i}": {"type": "integer"} for i in range(1000)}
    assert ["properties at #"] == relaxed({"properties": many})
    assert [] == relaxed({"properties": many, "required": list(many)})
    assert [] == relaxed({"enum": [f"value {i}" for i in range(10_000)]})


@given(st.integers(-3000, 3000), st.integers(0, 3000), st.integers(-4000, 7000))
def test_bounds_of_integers_are_exact(low: int, size: int, asked: int) -> None:
    schema = prepared({"type": "integer", "minimum": low, "maximum": low + size})
    rule = re.search(r"^root ::= (.*)$", schema.grammar, re.MULTILINE)
    assert rule
    matched = re.fullmatch(re.sub(r'[" ]', "", rule[1]), str(asked))
    assert bool(matched) == (low <= asked <= low + size)


@pytest.mark.parametrize("low", [0, 7, 10, 100, 105, 999, 1000, -1, -10, -105])
def test_one_bound_of_an_integer(low: int) -> None:
    for keyword, sign in (("minimum", 1), ("maximum", -1)):
        schema = prepared({"type": "integer", keyword: low})
        for text in examples(schema):
            assert sign * int(text) >= sign * low


def test_answers_are_checked() -> None:
    schema = prepared({"type": "array", "items": {"type": "number", "minimum": 0}})
    assert schema.held("[1, 2.5]") is True
    assert schema.held("[1, -2.5]") is False
    assert schema.held("[1, 2") is False
    assert schema.held("") is False
    assert schema.held("[" * 100_000) is False
    assert prepared({"type": "string", "format": "date"}).held('"2026-02-30"') is False
    assert prepared({"type": "string", "nullable": True}).held("null") is True
    assert prepared({"$ref": "https://example.com/x"}).held("3") is None
    assert prepared({"$ref": "#"}).held("3") is None
    assert prepared({"anyOf": [{"$ref": "#"}, {"type": "null"}]}).relaxed == ()


def test_no_pattern_holds_up_the_check() -> None:
    schema = prepared({"type": "string", "pattern": "^(a+)+$"})
    assert schema.held(json.dumps("a" * 200 + "b")) is False
    assert schema.held(json.dumps("a" * 200)) is True
    schema = prepared({"type": "string", "pattern": "^(?=x)?(a+)+$"})
    assert schema.held(json.dumps("a" * 200 + "b")) is None
    names = {"patternProperties": {r"^(a+)+$": {}}, "additionalProperties": False}
    assert prepared({"type": "object", **names}).held(json.dumps({"a" * 99 + "b": 1})) is False


def test_parameters_of_tools_are_one_object() -> None:
    for document in ({}, {"type": "object"}, GREETING, TREE, {"anyOf": [GREETING, TREE]},
                     {"$ref": "#/$defs/A", "$defs": {"A": GREETING}}):  # fmt: skip
        schema = schemas.parameters(json.dumps(document))
        assert schema.written["type"] == "object"
        assert isinstance(schema.written.get("properties"), dict)
    either = schemas.parameters(json.dumps({"anyOf": [GREETING, TREE]}))
    assert ["b", "a", "below"] == list(either.written["properties"])
    assert ["anyOf at #"] == [str(one) for one in either.relaxed]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "type properties required items prefixItems anyOf oneOf allOf enum const pattern "
                "format minLength maxItems $ref $defs additionalProperties title not nullable "
                "patternProperties propertyNames exclusiveMinimum".split()
            ),
            inner | st.sampled_from(["object", "string", "array", "#", "#/$defs/type"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
PARTS = st.deferred(lambda: SCHEMA)
LISTS = st.lists(PARTS, min_size=1, max_size=3)
NAMES = st.sampled_from(["a", "ab", "b-c", 'q"', "]"])
SCHEMA: st.SearchStrategy[Any] = st.booleans() | st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "array", "string", "integer", "number", "null"])
        | st.just(["string", "array", "object"]),
        "properties": st.dictionaries(NAMES, PARTS, max_size=3),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "additionalProperties": PARTS,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), PARTS, max_size=2),
        "minProperties": st.integers(0, 2),
        "items": PARTS,
        "prefixItems": LISTS,
        "minItems": st.integers(0, 3),
        "maxItems": st.integers(0, 3),
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 3),
        "pattern": st.sampled_from(["^a*$", "b", "^[^x]{2}"]),
        "format": st.sampled_from(["date", "email", "uri", "unknown"]),
        "minimum": st.integers(-20, 20),
        "exclusiveMaximum": st.integers(-20, 20),
        "enum": st.lists(st.sampled_from(["a", 1, None, [], {"a": 1}]), min_size=1, unique_by=repr),
        "anyOf": LISTS,
        "oneOf": LISTS,
        "allOf": LISTS,
        "nullable": st.booleans(),
        "$ref": st.sampled_from(["#", "#/$defs/A"]),
    },
)


@given(JSON)
def test_any_document_is_turned_or_refused(document: Any) -> None:
    try:
        assert "::=" in prepared(document).grammar
    except UsageError as exc:
        assert exc.problem


@given(SCHEMA, SCHEMA)
@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)
def test_any_schema_is_held_to_or_relaxed(document: Any, other: Any) -> None:
    if isinstance(document, bool):
        return
    try:
        schema = prepared({**document, "$defs": {"A": other}})
    except UsageError as exc:  # written out it is too large
        assert "JSON schema" in exc.problem
        return
    for text in examples(schema, 10):
        json.loads(text)
        if not schema.relaxed:
            assert schema.held(text) in (True, None), (text, schema.written)


WIDE = json.dumps({"properties": {f"p{n}": {"type": "string", "maxLength": 5} for n in range(300)}})


def test_a_schema_that_takes_too_long_to_check_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert schemas.prepared(WIDE).grammar
    monkeypatch.setattr(bounds, "SCHEMA_SECONDS", 0.0)
    with pytest.raises(UsageError, match="takes longer than 0 seconds to check"):
        schemas.prepared(WIDE + " ")


def test_checks_end_when_the_program_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "_stopped", threading.Event())
    time_limit.stop()
    with pytest.raises(UsageError, match="to check"):
        schemas.prepared(WIDE + "  ")
