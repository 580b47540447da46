"""Texts that native code reads: grammars, JSON schemas, chat templates, what models write."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import re
from collections.abc import Sequence
from typing import Any

from engines import GREEDY, demo
from families import ANSWERS, SOURCES, TOOLS, template_of, written
from grammars import Grammar
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemas import SCHEMAS

from fuzz.mutations import documents, words
from fuzz.target import Target
from runtime.chat_format import chat_template
from runtime.chat_format.chat_template import FormattedPrompt, TemplateInputs
from runtime.chat_format.prompt import format_prompt
from runtime.errors import AppError
from runtime.inference.scheduler import Scheduler
from runtime.json_schema import schemas

CALL_SECONDS = 5.0
"""The longest budget of one call into libchat."""
ASKED = [{"role": "user", "content": "Hi"}]
CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "abcdefghi",
            "type": "function",
            "function": {"name": "get_time", "arguments": '{"zone": "UTC"}'},
        }
    ],
}
CONVERSATIONS = (
    TemplateInputs(messages=ASKED),
    TemplateInputs(messages=[{"role": "system", "content": "Be kind."}, *ASKED, CALLED,
                             {"role": "tool", "tool_call_id": "abcdefghi", "content": "12:00"}],
                   tools=TOOLS, variables={"odd": [1, {"a": None}]}),
    TemplateInputs(messages=[*ASKED, {"role": "assistant", "content": "Hel"}],
                   continue_final_message=True),
    TemplateInputs(messages=ASKED, tools=TOOLS[:1], tool_choice="required",
                   parallel_tool_calls=True),
)  # fmt: skip
FAMILIES = (
    "Qwen-Qwen3-0.6B", "Qwen3-Coder", "deepseek-ai-DeepSeek-V3.1", "GLM-4.6", "MiniMax-M2",
    "mistralai-Mistral-Nemo-Instruct-2407", "meta-llama-Llama-3.1-8B-Instruct",
    "google-gemma-4-31B-it", "moonshotai-Kimi-K2",
)  # fmt: skip
"""Each writes calls in another form."""
PIECES_MAX = 300


@functools.cache
def _engine() -> Scheduler:
    return Scheduler(demo(), dataclasses.replace(GREEDY, parallel=1, n_predict=12), 256)


def grammar(data: bytes) -> None:
    """A grammar holds an answer, or is refused."""
    engine = _engine()
    options = dataclasses.replace(GREEDY, n_predict=12, grammar=data.decode("utf-8", "replace"))
    for _ in engine.submit(demo().tokenize("Hi", beginning=True), options):
        pass


def schema(data: bytes) -> None:
    """A schema has a grammar, whose texts are JSON; answers can be checked against it."""
    text = data.decode("utf-8", "replace")
    found = schemas.prepared(text)
    with contextlib.suppress(AppError):
        schemas.parameters(text)
    for answer in ("{}", "[]", "1", '"x"', "null", '{"a": [1, {"b": ""}]}', "nothing"):
        found.held(answer)
    if len(found.grammar) < 20_000:
        for seed in range(3):
            json.loads(Grammar(found.grammar).example(seed))


def template(data: bytes) -> None:
    """A template writes prompts and says how answers are read, or is refused."""
    made = chat_template.from_text(data.decode("utf-8", "replace"), bos="<s>", eos="</s>")
    for inputs in CONVERSATIONS:
        with contextlib.suppress(AppError):
            reader = format_prompt(made, inputs).reader()
            reader.feed("Hel", last=False)
            reader.feed("lo", last=True)


def answer(data: bytes) -> None:
    """Whatever a model writes is read, in whatever pieces it comes."""
    try:
        document = json.loads(data)
        name, text, size = document["family"], document["text"], document["pieces"]
        if name not in FAMILIES or not (isinstance(text, str) and type(size) is int and size > 0):
            return
    except (ValueError, TypeError, KeyError, RecursionError):
        return  # that is no text of a model
    reader = _prompt(name).reader()
    size = max(size, len(text) // PIECES_MAX)
    for begin in range(0, len(text), size):
        reader.feed(text[begin : begin + size], last=False)
    reader.feed("", last=True, cut=bool(document.get("cut")))


@functools.cache
def _prompt(family: str) -> FormattedPrompt:
    return format_prompt(template_of(family), TemplateInputs(messages=ASKED, tools=TOOLS))


@functools.cache
def _grammars() -> list[bytes]:
    texts = [
        'root ::= "yes" | "no"',
        'root ::= item+ "."\nitem ::= [a-zA-Z] [a-z]{0,5} " "? # words\n',
        'root ::= "(" root ")" | [^)\\x00-\\x1F]* | "\\u00e9" . \n',
        'root ::= a b?\na ::= ("x" | "y" a)+\nb ::= a{2} | b "z" | ""\n',
    ]
    return [text.encode() for text in [*texts, schemas.prepared('{"type": "object"}').grammar]]


@functools.cache
def _answers() -> list[bytes]:
    found = []
    for name in FAMILIES:
        for one in ANSWERS.values():
            if text := written(template_of(name), one):
                found += [{"family": name, "text": text, "pieces": size} for size in (1, 7)]
    return [json.dumps(one).encode() for one in found]


@functools.cache
def _tags() -> tuple[str, ...]:
    """Return what marks the parts of answers, in all families."""
    texts = " ".join(json.loads(one)["text"] for one in _answers())
    return tuple(sorted({*re.findall(r"<[^<>\s]{1,40}>|\[/?[A-Z_]+\]|[^\s\w]{2,4}", texts)}))


@functools.cache
def _templates() -> list[bytes]:
    names = ("Qwen-Qwen3-0.6B", "meta-llama-Llama-3.1-8B-Instruct", "GLM-4.6")
    return [SOURCES[name].read_bytes() for name in names] + [b"chatml", b"llama3"]


@functools.cache
def _schemas() -> list[bytes]:
    return [json.dumps(one).encode() for one in SCHEMAS.values()]


KEYWORDS: dict[str, Sequence[Any]] = {
    "$ref": ["#", "#/$defs/a", "#/properties/a", "#/%24defs/a~1b", "other.json", "#a", "//x"],
    "$defs": [{"a": {"$ref": "#"}}, {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}],
    "type": ["object", "array", "string", "integer", ["null", "number"], []],
    "properties": [{"a": {"$ref": "#"}}, {"": {}}, {"a\n\"": {"type": "integer"}}],
    "required": [["a"], ["zz"], ["a", "a"], [""]],
    "additionalProperties": [False, True, {"type": "string"}],
    "patternProperties": [{"^x-": {}}, {"(": {}}, {"a+": {"type": "integer"}}],
    "pattern": [
        "^a+$", "(a|b)*c", "(?=a)b", "[^]", "(", "\\d{2,99999}", "(((a{9}){9}){9}){9}", "(a*)*$",
        "\\p{L}+", "[\\w-z]", "a|", "^$", "\\1", "(?<n>x)\\k<n>", "[z-a]", "\\ud800", "x{3,2}",
    ],
    "format": ["date-time", "uuid", "email", "uri", "ipv6", "duration", "unknown"],
    "minLength": [3, 100_000], "maxLength": [0, 5, 100_000],
    "minItems": [2, 100_000], "maxItems": [0, 3, 100_000], "uniqueItems": [True],
    "prefixItems": [[{"type": "integer"}, {}]], "items": [{}, False, {"$ref": "#"}],
    "contains": [{"type": "integer"}],
    "minimum": [0, -(10**18), 10**30, 0.5], "maximum": [9, 10**18, -1],
    "exclusiveMinimum": [0, True], "multipleOf": [3, 0, 0.01],
    "enum": [[1, "a", None], [], [{"a": [1]}], ["a" * 2000], [*range(300)]],
    "const": [None, {"a": 1}, "\u2028"],
    "anyOf": [[{"type": "string"}, {"$ref": "#"}], []], "oneOf": [[{}, {"type": "null"}]],
    "allOf": [[{"type": "object"}, {"required": ["a"]}], [{"$ref": "#"}]],
    "not": [{}, {"type": "string"}], "if": [{"type": "string"}], "then": [{"minLength": 2}],
    "dependentRequired": [{"a": ["b"]}], "minProperties": [2], "maxProperties": [0, 1],
    "propertyNames": [{"pattern": "^a"}], "unevaluatedProperties": [False], "$id": ["http://x/y"],
    "$schema": ["http://json-schema.org/draft-04/schema#", "unknown:"], "nullable": [True],
}  # fmt: skip
BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"), ('"', '"'))
GBNF = (
    "root", "::=", "|", "*", "+", "?", "{0,}", "{3}", "{2,999999}", "{99999999999}", "(", ")", "\n",
    '""', '"x"', "[a-z]", "[^\\n]", "[", "[]", '"\\x', "\\u12", ".", "#", "-", "a", "b", "item",
    "\nroot ::= root", "\na ::= a a | b", "\n", "<[1]>", "!<[2]>", "<think>",
)  # fmt: skip
JINJA = (
    "{%", "%}", "{{", "}}", "{#", "#}", "-%}", "for", "in", "if", "else", "endfor", "endif",
    "macro", "endmacro", "set", "namespace", "call", "raise_exception", "strftime_now", "range(9)",
    "break", "range(999999999)", "9**9", "10 ** 10 ** 10", "'x' * 999999999", "[0] * 999999",
    "messages", "messages[0]", ".content", ".role", "tools", "tool_calls", "none", "true",
    "loop.index", "loop.previtem", "[::-1]", "[:-1]", "|", "tojson", "trim", "length", "join",
    "map", "selectattr", "sort", "list", "string", "items", "replace('', 'xxxx')",
    "center(99999999)", "format", "is", "defined", "not", "bos_token", "add_generation_prompt",
    "enable_thinking", "self", "''", "\\", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{% for a in range(9999) %}", "{% endfor %}", "{% set x = x ~ x %}", "caller()", "<think>",
    "</think>", "<tool_call>", "%", "//", "==", "~",
)  # fmt: skip
BLOCKS = (("{% if true %}", "{% endif %}"), ("{% for a in messages %}", "{% endfor %}"),
          ("{{ (", ") }}"), ("(", ")"), ("[", "]"), ("{% raw %}", "{% endraw %}"))  # fmt: skip


def _answers_changed(seeds: Sequence[bytes]) -> SearchStrategy[bytes]:
    """Return a strategy that changes the words of the text in each, and how it is cut."""
    return st.sampled_from(seeds).flatmap(lambda seed: _one_changed(json.loads(seed), seeds))


def _one_changed(document: dict[str, Any], seeds: Sequence[bytes]) -> SearchStrategy[bytes]:
    family = document["family"]
    texts = [one["text"].encode() for one in map(json.loads, seeds) if one["family"] == family]
    changed = words(texts, known=_tags(), pairs=BRACKETS)
    return st.builds(
        lambda text, size, cut: json.dumps(
            {"family": family, "text": text.decode()[:3000], "pieces": size, "cut": cut}
        ).encode(),
        changed, st.sampled_from([1, 3, 20, 10_000]), st.booleans(),
    )  # fmt: skip


TARGETS = {
    "grammar": Target(
        grammar, _grammars, functools.partial(words, known=GBNF, pairs=BRACKETS), CALL_SECONDS + 5
    ),
    "schema": Target(schema, _schemas, functools.partial(documents, fields=KEYWORDS), 30),
    "template": Target(
        template, _templates, functools.partial(words, known=JINJA, pairs=BLOCKS), 30, 1200
    ),
    "answer": Target(answer, _answers, _answers_changed, 30),
}
