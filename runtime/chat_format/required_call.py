"""Grammar of a tool call that must be made: at once, and with the values that enums allow.

llama.cpp's grammars let text and reasoning precede a call, which a model may write for ever; and in
forms where arguments are no JSON, they let a text argument be any text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

ROOT = "root"
FREE_TEXT = re.compile(r"(?<= )until-\d+\?? (?=(?:space )?(?:\"[^\"]*\"\? )?[\w-]*tool-)", re.A)
OPTIONAL = re.compile(r"(?<= )\((?:[^()]|\([^()]*\))*\)[?*] |(?<= )\([\w-]+ \| \) |^\([\w ]+\)\* ")
ANY_TEXT = re.compile(
    r"(?:xml-arg-string|ac-\d+|until-\d+)$|until-\d+(?= \")|ling3-arg-string(?=\)$)"
)
"""The text of an argument: at the end of a rule, or before what ends it."""
NEXT = re.compile(r"\[(\\.|[^^\\])\] (ac-\d+-\d+)")
LAST = re.compile(r"^\[(\\.|[^^\\])\](?= \||$)")
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r"}


def at_once(grammar: str, *, reasons: bool) -> str:
    """Return the grammar without what may precede a call.

    With `reasons`, the prompt ends in reasoning that the grammar goes on with.
    """
    rules = _rules(grammar)
    root = FREE_TEXT.sub("", rules[ROOT])
    rules[ROOT] = root if reasons else OPTIONAL.sub("", root)
    return _text(rules)


def with_enums(grammar: str, tools: Sequence[Mapping[str, Any]]) -> str:
    """Return the grammar with each text argument that is an enum held to its values."""
    rules = _rules(grammar)
    for tool in tools:
        function = tool["function"]
        properties = (function.get("parameters") or {}).get("properties") or {}
        for name, schema in properties.items():
            values = schema.get("enum") if isinstance(schema, dict) else None
            if values and all(isinstance(value, str) for value in values):
                for rule in _argument_rules(rules, function["name"], name):
                    rules[rule] = _held(rules, rules[rule], values)
    return _text(rules)


def _rules(grammar: str) -> dict[str, str]:
    found = (line.partition(" ::= ") for line in grammar.split("\n") if " ::= " in line)
    return {name: rule for name, _, rule in found}


def _text(rules: Mapping[str, str]) -> str:
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items())


def _argument_rules(rules: Mapping[str, str], tool: str, argument: str) -> list[str]:
    def word(text: str) -> str:
        return re.sub(r"[^a-zA-Z0-9-]+", "-", text)

    ends = f"tool-{word(tool)}-arg-{word(argument)}", f"-arg-{word(tool)}-{word(argument)}"
    return [name for name in rules if name.endswith(ends)]


def _held(rules: Mapping[str, str], rule: str, values: Sequence[str]) -> str:
    """Return the rule of a text argument, held to `values`; as it is if its form is unknown."""
    found = ANY_TEXT.search(rule)
    if not found:
        return rule
    name, end = found[0], ""
    if name.endswith("-string"):  # a rule of its own
        name, _, end = rules.get(name, "").partition(" ")
    if name.startswith("ac-"):  # text up to and including what ends it
        end = _literal(_end(rules, name))
    if not name.startswith(("ac-", "until-")) or end == '""':
        return rule
    held = f"({' | '.join(map(_literal, values))}) {end}".rstrip()
    return rule[: found.start()] + held + rule[found.end() :]


def _end(rules: Mapping[str, str], name: str) -> str:
    """Return the text that an automaton of llama.cpp's looks for; empty if that is not clear."""
    text, state = "", name
    while state in rules:
        rule = rules[state]
        if last := LAST.match(rule):
            return text + ESCAPES.get(last[1], last[1].removeprefix("\\"))
        order = {
            int(target.rpartition("-")[2]): (char, target) for char, target in NEXT.findall(rule)
        }
        step = order.get(len(text) + 1)
        if step is None:
            return ""
        text += ESCAPES.get(step[0], step[0])
        state = step[1]
    return ""


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
