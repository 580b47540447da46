"""Hostile texts that a request holds: grammars, schemas, variables of templates, and GGUFs' own."""

from __future__ import annotations

from typing import Any

from hostile_case import ANSWERED, EITHER, REFUSED, Case, chats, texts

LOOPS = (
    "{% if add_generation_prompt %}{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% endfor %}{% endfor %}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}"
)
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m"


def ambiguous(depth: int, last: str = '"x" | ""') -> str:
    """Return a grammar whose matcher needs twice the time with each rule."""
    rules = ["root ::= a0"]
    rules += [f'a{i} ::= a{i + 1} a{i + 1} | a{i + 1} | ""' for i in range(depth)]
    return "\n".join([*rules, f"a{depth} ::= {last}"])


def nested(depth: int, key: str, last: Any) -> dict[str, Any]:
    """Return `last` as the value of a key in a key in a key."""
    for _ in range(depth):
        last = {key: last}
    return last  # type: ignore[no-any-return]


def listed(depth: int) -> list[Any]:
    """Return a list in a list in a list."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


TOO_MUCH = {
    "ambiguous": ambiguous(25),
    "ambiguous and deep": ambiguous(200),
    "repeated too often": 'root ::= "a"{999999999}',
    "a count without end": 'root ::= "a"{99999999999999999999}',
    "left recursion": "root ::= root | root root",
    "left recursion by another": "root ::= a\na ::= b\nb ::= root",
    "left recursion behind nothing": 'root ::= e root "x"\ne ::= ""?',
    "no root": 'other ::= "x"',
    "no rule": "root ::= nothing",
    "no end": 'root ::= "a" (',
    "no end of a class": "root ::= [a-",
    "no end of a text": 'root ::= "a',
    "half an escape": 'root ::= "\\x"',
    "only a comment": "# root ::= nothing",
    "only spaces": " \n\t ",
    "JSON": '{"type": "object"}',
    "nested": "root ::= " + "(" * 200 + '"x"' + ")" * 200,
    "unbalanced": "root ::= " + "(" * 60_000,
    "too long": "root ::= " + '"a" | ' * 20_000 + '"b"',
    "odd characters": "root ::= \x00\x1b\ud800",
    "a count that is none": 'root ::= "a"{-1}',
    "a token that is none": "root ::= <[99999999]>",
}
ODD_GRAMMARS = {
    "repeats of repeats": 'root ::= (((("a"{99}){99}){99}){99}){99}',
    "nothing again and again": 'root ::= ("")*',
    "nothing of nothing": 'root ::= ((""?)*)*',
    "empty": 'root ::= ""',
    "a class of nothing": "root ::= []",
    "a class from high to low": "root ::= [z-a]+",
    "every character": "root ::= [\\x00-\\U0010FFFF]*",
    "many ways": 'root ::= ("a" | "a" | "a"){1,20}',
    "many rules": "root ::= r0\n" + "".join(f'r{i} ::= "a" | r{i + 1}\n' for i in range(900))
    + 'r900 ::= "z"',
    "long": 'root ::= "' + "a" * 60_000 + '"',
    "the same rule again": 'root ::= "a"\nroot ::= "b"',
    "rule after rule": "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1}\n" for i in range(900))
    + 'r900 ::= "z"',
    "recursion": 'root ::= "a" root | "b" root | "c"',
}  # fmt: skip
BAD_SCHEMAS: dict[str, Any] = {
    "no type of that name": {"type": "thing"},
    "a type that is a number": {"type": 5},
    "properties that are a list": {"properties": []},
    "required that is a text": {"type": "object", "required": "a"},
    "a length below nothing": {"type": "string", "minLength": -1},
    "a length that is a text": {"type": "string", "maxLength": "5"},
    "nested deep": nested(65, "items", {"type": "array"}),
    "nested deeper": nested(300, "not", {"type": "string"}),
    "lists in lists": {"enum": [listed(500)]},
    "no such definition": {"$ref": "#/$defs/none"},
    "a step of zero": {"type": "number", "multipleOf": 0},
    "no choice": {"anyOf": []},
}
ODD_SCHEMAS: dict[str, Any] = {
    "long": {"enum": ["a" * 1000] * 990},
    "itself": {"$ref": "#"},
    "each other": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
                   "$ref": "#/$defs/a"},
    "a tree": {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}},
    "a long choice": {"enum": [f"choice {number}" for number in range(3000)]},
    "a choice of nothing": {"enum": []},
    "combinations": {"allOf": [{"anyOf": [{"properties": {f"{i}{j}": {"type": "string"}}}
                                          for j in range(4)]} for i in range(12)]},
    "combinations of combinations": {
        "allOf": [{"anyOf": [{"anyOf": [{"type": "string", "maxLength": 5}] * 9}] * 9}] * 9},
    "many properties": {"type": "object",
                        "properties": {f"p{i}": {"type": "integer"} for i in range(1500)}},
    "a long list": {"type": "array", "items": {"type": "integer"}, "minItems": 1_000_000},
    "a long text": {"type": "string", "minLength": 10_000_000},
    "a list of long lists": {"type": "array", "minItems": 500, "items": {
        "type": "array", "minItems": 500, "items": {"type": "string", "minLength": 500}}},
    "large numbers": {"type": "integer", "minimum": -(10**30), "maximum": 10**30},
    "no number between": {"type": "integer", "minimum": 5, "maximum": 4},
    "nothing at all": {"not": {}},
    "what contradicts itself": {"allOf": [{"type": "string"}, {"type": "integer"}]},
    "a pattern that explodes": {"type": "string", "pattern": "^(a+)+$"},
    "a pattern of repeats": {"type": "string", "pattern": "^(((a{99}){99}){99}){99}$"},
    "a long pattern": {"type": "string", "pattern": "^" + "(a|b)" * 3000 + "$"},
    "a deep pattern": {"type": "string", "pattern": "(" * 500 + "a" + ")" * 500},
    "a pattern that is none": {"type": "string", "pattern": "("},
    "a look behind": {"type": "string", "pattern": "(?<=a)b(?!c)\\1"},
    "keys of patterns": {"type": "object", "patternProperties": {"^(a+)+$": {}, "(": {}}},
    "odd names": {"type": "object", "required": ['"\\', "\n", "", "\x1b[2J", "\ud83d\ude00"],
                  "properties": {'"\\': {}, "\n": {}, "": {}, "\x1b[2J": {}, "\ud83d\ude00": {}}},
    "a file": {"$ref": "file:///etc/passwd"},
    "another machine's": {"$ref": "http://example.org/schema.json"},
    "an unknown dialect": {"$schema": "unknown:", "type": "string"},
    "an unknown format": {"type": "string", "format": "\x00"},
}  # fmt: skip
VARIABLES: dict[str, Any] = {
    "messages": "none", "tools": {"a": 1}, "add_generation_prompt": 7, "bos_token": ["x"] * 999,
    "a long text": "x" * 300_000, "a deep list": listed(90), "a deep object": nested(90, "a", 1),
    "": "", "\x00": "\x00", "{{ x }}": "{% for %}", "__class__": {"__init__": 1}, "range": 5,
    "loop": None, "huge": 10**18, "tiny": 5e-324, "escape": ESCAPES, "reasoning_effort": "\x1b",
    "raise_exception": 1, "namespace": 2, "strftime_now": "%n" * 5000,
}  # fmt: skip
"""For templates that know nothing of them, or have them by that name already."""
TEMPLATES = {
    "loops": LOOPS,
    "a range": "{{ range(1000000000000) | length }}",
    "a power": "{{ 10 ** 10 ** 10 }}",
    "a long text": "{{ 'x' * 99999999999 }}",
    "doubling": "{% set n = namespace(t='a') %}{% for i in range(64) %}{% set n.t = n.t + n.t %}"
    "{% endfor %}{{ n.t }}",
    "recursion": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "a deep list": "{{ " + "[" * 100_000 + "]" * 100_000 + " }}",
    "deep blocks": "{% if true %}" * 20_000 + "{% endif %}" * 20_000,
    "long output": "{% for i in range(9999999) %}{{ 'a' * 9999 }}{% endfor %}",
    "no end": "{% for m in messages %}",
    "noise": "{% \x00 \x1b[2J %}",
    "a refusal": "{{ raise_exception('\x1b]0;owned\x07') }}",
}
"""At each of these a program says why it cannot use its model's template."""


def cases() -> list[Case]:
    """Return all requests with such texts."""
    found = texts("grammar", REFUSED, {n: {"grammar": text} for n, text in TOO_MUCH.items()})
    found += texts("grammar", EITHER, {n: {"grammar": text} for n, text in ODD_GRAMMARS.items()})
    found += texts("schema", REFUSED, {n: {"json_schema": one} for n, one in BAD_SCHEMAS.items()})
    found += texts("schema", EITHER, {n: {"json_schema": one} for n, one in ODD_SCHEMAS.items()})
    found += chats("schema", EITHER, {
        f"{name}, of a tool": {
            "tool_choice": "required",
            "tools": [{"type": "function", "function": {"name": "f", "parameters": one}}],
        }
        for name, one in [*ODD_SCHEMAS.items()][::4]
    })  # fmt: skip
    found += chats("template variable", EITHER, {
        repr(name): {"chat_template_kwargs": {name: value}} for name, value in VARIABLES.items()
    })  # fmt: skip
    found += chats("template variable", REFUSED, {
        "no object": {"chat_template_kwargs": [1]},
        "no truth": {"chat_template_kwargs": {"enable_thinking": "yes"}},
        "too deep": {"chat_template_kwargs": listed(900)},
    })  # fmt: skip
    found += chats("template variable", ANSWERED, {"nothing": {"chat_template_kwargs": {}}})
    return found
