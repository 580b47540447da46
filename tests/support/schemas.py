# ruff: noqa: E501
"""JSON schemas as people send them: what Pydantic, Zod and OpenAPI make, and some by hand."""

from __future__ import annotations

from typing import Any

SCHEMAS: dict[str, Any] = {
    "pydantic strings": {
        "properties": {
            "date": {"format": "date", "title": "Date", "type": "string"},
            "time": {"format": "time", "title": "Time", "type": "string"},
            "when": {"format": "date-time", "title": "When", "type": "string"},
            "took": {"format": "duration", "title": "Took", "type": "string"},
            "id": {"format": "uuid", "title": "Id", "type": "string"},
            "url": {"format": "uri", "minLength": 1, "title": "Url", "type": "string"},
            "any_url": {"format": "uri", "minLength": 1, "title": "Any Url", "type": "string"},
            "v4": {"format": "ipv4", "title": "V4", "type": "string"},
            "v6": {"format": "ipv6", "title": "V6", "type": "string"},
            "net": {"format": "ipv4network", "title": "Net", "type": "string"},
            "secret": {
                "format": "password",
                "title": "Secret",
                "type": "string",
                "writeOnly": True,
            },
            "data": {"format": "binary", "title": "Data", "type": "string"},
            "path": {"format": "path", "title": "Path", "type": "string"},
            "js": {
                "contentMediaType": "application/json",
                "contentSchema": {},
                "title": "Js",
                "type": "string",
            },
            "b64": {"format": "base64", "title": "B64", "type": "string"},
        },
        "required": [
            "date",
            "time",
            "when",
            "took",
            "id",
            "url",
            "any_url",
            "v4",
            "v6",
            "net",
            "secret",
            "data",
            "path",
            "js",
            "b64",
        ],
        "title": "Strings",
        "type": "object",
    },
    "pydantic lengths": {
        "properties": {
            "short": {"maxLength": 5, "minLength": 2, "title": "Short", "type": "string"},
            "code": {"pattern": "^[A-Z]{2}-\\d+$", "title": "Code", "type": "string"},
            "loose": {"pattern": "a+b", "title": "Loose", "type": "string"},
            "both": {"maxLength": 8, "pattern": "^\\w+$", "title": "Both", "type": "string"},
            "zip": {"pattern": "^\\d{5}(-\\d{4})?$", "title": "Zip", "type": "string"},
        },
        "required": ["short", "code", "loose", "both", "zip"],
        "title": "Lengths",
        "type": "object",
    },
    "pydantic numbers": {
        "properties": {
            "a": {"minimum": 0, "title": "A", "type": "integer"},
            "b": {"exclusiveMaximum": 100, "exclusiveMinimum": 3, "title": "B", "type": "integer"},
            "c": {"multipleOf": 5, "title": "C", "type": "integer"},
            "d": {"maximum": 1, "minimum": 0, "title": "D", "type": "number"},
            "e": {"exclusiveMinimum": 0, "title": "E", "type": "number"},
            "f": {"exclusiveMaximum": 0, "title": "F", "type": "integer"},
            "g": {"anyOf": [{"type": "number"}, {"type": "string"}], "title": "G"},
            "h": {"anyOf": [{"type": "number"}, {"type": "string"}], "title": "H"},
            "i": {"multipleOf": 0.5, "title": "I", "type": "number"},
            "j": {"minimum": 105, "title": "J", "type": "integer"},
        },
        "required": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"],
        "title": "Numbers",
        "type": "object",
    },
    "pydantic lists": {
        "$defs": {"Colour": {"enum": ["red", "blue"], "title": "Colour", "type": "string"}},
        "properties": {
            "a": {"items": {"type": "integer"}, "title": "A", "type": "array"},
            "b": {
                "items": {"type": "string"},
                "maxItems": 3,
                "minItems": 1,
                "title": "B",
                "type": "array",
            },
            "c": {"items": {"type": "integer"}, "title": "C", "type": "array", "uniqueItems": True},
            "d": {
                "items": {"enum": ["x", "y"], "type": "string"},
                "title": "D",
                "type": "array",
                "uniqueItems": True,
            },
            "e": {
                "maxItems": 2,
                "minItems": 2,
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "title": "E",
                "type": "array",
            },
            "f": {"items": {"type": "integer"}, "title": "F", "type": "array"},
            "g": {"items": {"type": "number"}, "minItems": 2, "title": "G", "type": "array"},
            "h": {"items": {}, "title": "H", "type": "array"},
            "i": {"items": {"$ref": "#/$defs/Colour"}, "title": "I", "type": "array"},
        },
        "required": ["a", "b", "c", "d", "e", "f", "g", "h", "i"],
        "title": "Lists",
        "type": "object",
    },
    "pydantic dicts": {
        "$defs": {"Colour": {"enum": ["red", "blue"], "title": "Colour", "type": "string"}},
        "properties": {
            "a": {"additionalProperties": {"type": "integer"}, "title": "A", "type": "object"},
            "b": {
                "additionalProperties": {"type": "integer"},
                "propertyNames": {"enum": ["x", "y"]},
                "title": "B",
                "type": "object",
            },
            "c": {
                "patternProperties": {"^[a-z]+$": {"type": "number"}},
                "title": "C",
                "type": "object",
            },
            "d": {"additionalProperties": {"type": "string"}, "title": "D", "type": "object"},
            "e": {
                "additionalProperties": {"type": "boolean"},
                "propertyNames": {"$ref": "#/$defs/Colour"},
                "title": "E",
                "type": "object",
            },
            "f": {
                "additionalProperties": {"type": "integer"},
                "maxProperties": 3,
                "minProperties": 1,
                "title": "F",
                "type": "object",
            },
            "g": {"additionalProperties": True, "title": "G", "type": "object"},
        },
        "required": ["a", "b", "c", "d", "e", "f", "g"],
        "title": "Dicts",
        "type": "object",
    },
    "pydantic unions": {
        "$defs": {
            "Cat": {
                "properties": {
                    "kind": {"const": "cat", "title": "Kind", "type": "string"},
                    "lives": {
                        "default": 9,
                        "maximum": 9,
                        "minimum": 0,
                        "title": "Lives",
                        "type": "integer",
                    },
                },
                "required": ["kind"],
                "title": "Cat",
                "type": "object",
            },
            "Colour": {"enum": ["red", "blue"], "title": "Colour", "type": "string"},
            "Dog": {
                "properties": {
                    "kind": {"const": "dog", "title": "Kind", "type": "string"},
                    "tricks": {
                        "default": [],
                        "items": {"type": "string"},
                        "title": "Tricks",
                        "type": "array",
                    },
                },
                "required": ["kind"],
                "title": "Dog",
                "type": "object",
            },
            "Level": {"enum": [1, 2], "title": "Level", "type": "integer"},
            "Place": {
                "additionalProperties": False,
                "properties": {
                    "city": {"title": "City", "type": "string"},
                    "size": {
                        "$ref": "#/$defs/Colour",
                        "default": "red",
                        "description": "how large",
                    },
                },
                "required": ["city"],
                "title": "Place",
                "type": "object",
            },
        },
        "properties": {
            "a": {"anyOf": [{"type": "integer"}, {"type": "string"}], "title": "A"},
            "b": {"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "B"},
            "c": {"enum": ["a", 1, None, True], "title": "C"},
            "d": {"$ref": "#/$defs/Colour"},
            "e": {"$ref": "#/$defs/Level"},
            "f": {
                "discriminator": {
                    "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"},
                    "propertyName": "kind",
                },
                "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
                "title": "F",
            },
            "g": {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "title": "G"},
            "h": {
                "items": {
                    "anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}, {"type": "null"}]
                },
                "title": "H",
                "type": "array",
            },
            "i": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
            "j": {"title": "J"},
            "k": {"title": "K", "type": "null"},
        },
        "required": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"],
        "title": "Unions",
        "type": "object",
    },
    "pydantic nested": {
        "$defs": {
            "Colour": {"enum": ["red", "blue"], "title": "Colour", "type": "string"},
            "Linked": {
                "properties": {
                    "name": {"title": "Name", "type": "string"},
                    "next": {
                        "anyOf": [{"$ref": "#/$defs/Linked"}, {"type": "null"}],
                        "default": None,
                    },
                },
                "required": ["name"],
                "title": "Linked",
                "type": "object",
            },
            "Place": {
                "additionalProperties": False,
                "properties": {
                    "city": {"title": "City", "type": "string"},
                    "size": {
                        "$ref": "#/$defs/Colour",
                        "default": "red",
                        "description": "how large",
                    },
                },
                "required": ["city"],
                "title": "Place",
                "type": "object",
            },
            "Tree": {
                "properties": {
                    "value": {"title": "Value", "type": "integer"},
                    "children": {
                        "default": [],
                        "items": {"$ref": "#/$defs/Tree"},
                        "title": "Children",
                        "type": "array",
                    },
                },
                "required": ["value"],
                "title": "Tree",
                "type": "object",
            },
        },
        "properties": {
            "home": {"$ref": "#/$defs/Place"},
            "tree": {"$ref": "#/$defs/Tree"},
            "linked": {"$ref": "#/$defs/Linked"},
            "maybe": {
                "anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}],
                "description": "or none",
            },
        },
        "required": ["home", "tree", "linked", "maybe"],
        "title": "Nested",
        "type": "object",
    },
    "pydantic extra": {
        "additionalProperties": True,
        "properties": {
            "a": {"title": "A", "type": "integer"},
            "b": {"default": "x", "title": "B", "type": "string"},
        },
        "required": ["a"],
        "title": "Extra",
        "type": "object",
    },
    "pydantic recursive root": {
        "$defs": {
            "Tree": {
                "properties": {
                    "value": {"title": "Value", "type": "integer"},
                    "children": {
                        "default": [],
                        "items": {"$ref": "#/$defs/Tree"},
                        "title": "Children",
                        "type": "array",
                    },
                },
                "required": ["value"],
                "title": "Tree",
                "type": "object",
            }
        },
        "$ref": "#/$defs/Tree",
    },
    "zod 3": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "email": {"type": "string", "format": "email"},
            "url": {"type": "string", "format": "uri"},
            "cuid": {"type": "string", "pattern": "^[cC][^\\s-]{8,}$"},
            "starts": {"type": "string", "pattern": "^ab"},
            "ends": {"type": "string", "pattern": "cd$"},
            "ip": {
                "anyOf": [
                    {"type": "string", "format": "ipv4"},
                    {"type": "string", "format": "ipv6"},
                ]
            },
            "trimmed": {"type": "string", "minLength": 1},
            "n": {"type": "number", "exclusiveMinimum": 0},
            "i": {"type": "integer", "minimum": -5, "maximum": 5},
            "m": {"type": "number", "multipleOf": 0.01},
            "set": {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
            "pair": {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": [{"type": "string"}, {"type": "number"}],
            },
            "rest": {
                "type": "array",
                "minItems": 1,
                "items": [{"type": "string"}],
                "additionalItems": {"type": "number"},
            },
            "record": {
                "type": "object",
                "additionalProperties": {"type": "number"},
                "propertyNames": {"minLength": 1},
            },
            "either": {"type": ["string", "number"]},
            "maybe": {"type": ["string", "null"]},
            "both": {
                "allOf": [
                    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {
                        "type": "object",
                        "properties": {"b": {"type": "number"}},
                        "required": ["b"],
                        "additionalProperties": False,
                    },
                ]
            },
            "again": {"$ref": "#/properties/email"},
            "never": {"not": {}},
            "unknown": {},
            "when": {
                "anyOf": [
                    {"type": "string", "format": "date-time"},
                    {"type": "integer", "format": "unix-time"},
                ]
            },
        },
        "required": ["email", "url", "n", "i", "pair", "both"],
        "additionalProperties": False,
    },
    "zod 4": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "email": {
                "type": "string",
                "format": "email",
                "pattern": "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
            },
            "uuid": {
                "type": "string",
                "format": "uuid",
                "pattern": "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|00000000-0000-0000-0000-000000000000)$",
            },
            "int": {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
            "positive": {"type": "number", "exclusiveMinimum": 0},
            "literal": {"type": "string", "const": "tuna"},
            "tuple": {
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "number"}],
                "items": {"type": "boolean"},
            },
            "record": {
                "type": "object",
                "propertyNames": {"type": "string", "enum": ["a", "b"]},
                "additionalProperties": {"type": "string"},
                "required": ["a", "b"],
            },
            "nullable": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "kind": {
                "oneOf": [
                    {
                        "type": "object",
                        "properties": {"t": {"type": "string", "const": "a"}},
                        "required": ["t"],
                        "additionalProperties": False,
                    },
                    {
                        "type": "object",
                        "properties": {"t": {"type": "string", "const": "b"}},
                        "required": ["t"],
                        "additionalProperties": False,
                    },
                ]
            },
            "self": {"type": "array", "items": {"$ref": "#"}},
            "big": {"type": "string", "pattern": "^\\d+$", "format": "bigint"},
            "b64": {
                "type": "string",
                "format": "base64",
                "contentEncoding": "base64",
                "pattern": "^$|^(?:[0-9a-zA-Z+/]{4})*(?:(?:[0-9a-zA-Z+/]{2}==)|(?:[0-9a-zA-Z+/]{3}=))?$",
            },
            "default": {"default": "x", "type": "string"},
            "ro": {"readOnly": True, "type": "string"},
        },
        "required": ["email", "uuid", "int", "positive", "literal", "tuple", "record", "kind"],
        "additionalProperties": False,
    },
    "pydantic 1": {
        "title": "M",
        "type": "object",
        "properties": {
            "home": {
                "title": "Home",
                "description": "where",
                "allOf": [{"$ref": "#/definitions/Place"}],
            },
            "age": {"title": "Age", "exclusiveMinimum": 0, "type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "price": {"minimum": 0, "type": "number"},
        },
        "required": ["home", "age"],
        "definitions": {
            "Place": {
                "title": "Place",
                "type": "object",
                "properties": {"city": {"type": "string"}, "next": {"$ref": "#/definitions/Place"}},
                "required": ["city"],
            }
        },
    },
    "openapi 3.0": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "nullable": True, "maxLength": 10},
            "size": {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "nullable": True},
            "home": {"nullable": True, "allOf": [{"$ref": "#/definitions/H"}]},
            "colour": {"type": "string", "enum": ["red", "blue"], "nullable": True},
            "ref": {"$ref": "#/definitions/H"},
            "n": {"type": "integer", "format": "int64"},
            "x": {"type": "number", "format": "double"},
        },
        "required": ["name", "size", "home", "ref"],
        "definitions": {
            "H": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        },
    },
    "conditions": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
        "dependentRequired": {"a": ["b"]},
        "if": {"required": ["a"]},
        "then": {"required": ["b"]},
        "minProperties": 1,
        "unevaluatedProperties": False,
    },
    "root list": {
        "type": "array",
        "items": {"type": "integer", "minimum": 1},
        "minItems": 1,
        "contains": {"const": 3},
    },
    "root string": {"type": "string", "format": "regex"},
    "open": {
        "type": "object",
        "properties": {"alpha": {"type": "integer"}, "al]pha": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    },
    "extended": {
        "$defs": {
            "A": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
        },
        "allOf": [
            {"$ref": "#/$defs/A"},
            {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ],
        "additionalProperties": True,
    },
}
