"""JSON schemas: what a grammar can hold to is turned into one, everything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import UsageError
from runtime.inference import json_schema

PERSON = {
    "title": "Person",
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 20},
        "age": {"type": "integer", "description": "in years"},
        "mail": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
        "born": {"type": "string", "format": "date"},
        "id": {"type": "string", "pattern": "^[a-z]{3}$"},
        "home": {"$ref": "#/$defs/Place"},
        "pair": {"type": "array", "prefixItems": [{"type": "number"}, {"type": "boolean"}]},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"Place": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def test_what_people_write_becomes_a_grammar() -> None:
    text = json_schema.grammar(json.dumps(PERSON))

    assert "root ::= " in text
    assert '\\"name\\"' in text
    assert "root ::= " in json_schema.grammar("{}")


@pytest.mark.parametrize(
    ("keyword", "document"),
    [
        ("minimum", {"type": "integer", "minimum": 0}),
        ("multipleOf", {"properties": {"a": {"type": "number", "multipleOf": 2}}}),
        ("uniqueItems", {"type": "array", "items": {}, "uniqueItems": True}),
        ("minItems", {"type": "array", "minItems": 1}),
        ("patternProperties", {"type": "object", "patternProperties": {}}),
        ("minProperties", {"properties": {}, "minProperties": 1}),
        ("maxLength", {"type": "string", "pattern": "^a$", "maxLength": 3}),
        ("properties", {"anyOf": [{}], "properties": {}}),
        ("maxLength", {"type": ["string", "null"], "maxLength": 3}),
        ("format", {"type": "string", "format": "email"}),
        ("pattern", {"type": "string", "pattern": "a+"}),
        ("required", {"type": "object", "properties": {}, "required": ["a"]}),
        ("required", {"type": "object", "required": ["a"]}),
        ("not", {"not": {}}),
        ("allOf", {"allOf": [{"type": "string"}]}),
        ("$ref", {"$ref": "https://example.com/schema"}),
        ("if", {"items": {"if": {}}}),
    ],
)
def test_what_it_cannot_hold_to_is_refused_by_name(keyword: str, document: Any) -> None:
    with pytest.raises(UsageError, match=rf"uses '{keyword.replace('$', '.')}' at #"):
        json_schema.grammar(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    ["", "no", "[]", "3", '{"type": "strin"}', '{"$ref": "#/nowhere"}', '{"properties": 3}',
     '{"properties": {"a": true}}', '{"type": 3}', "[" * 100_000,
     '{"items":' * 3000 + "{}" + "}" * 3000, '{"anyOf": []}',
     '{"enum": []}'],
)  # fmt: skip
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        json_schema.grammar(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "type properties required items prefixItems anyOf oneOf allOf enum const pattern "
                "format minLength maxItems $ref $defs additionalProperties title".split()
            ),
            inner | st.sampled_from(["object", "string", "array"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_document_is_turned_or_refused(document: Any) -> None:
    try:
        assert "::=" in json_schema.grammar(json.dumps(document))
    except UsageError as exc:
        assert exc.problem
