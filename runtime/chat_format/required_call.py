"""Grammar of a tool call that must be made: at once, and with the arguments that its schema allows.

llama.cpp's grammars let text and reasoning precede a call, which a model may write for ever; and in
forms where arguments are no JSON, they let a text argument be any text. Some forms let arguments be
left out, or be anything.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runtime.chat_format.grammar_text import ROOT, WORD, rules_of, text_of
from runtime.inference.answer_form import AnswerForm

FREE_TEXT = re.compile(r"(?<= )until-\d+\?? (?=(?:space )?(?:\"[^\"]*\"\? )?[\w-]*tool-)", re.A)
OPTIONAL = re.compile(
    r"(?:^|(?<= ))\((?:[^()]|\([^()]*\))*\)[?*] |(?<= )\([\w-]+ \| \) |^\([\w ]+\)\* "
)
ANY_TEXT = re.compile(
    r"(?:xml-arg-string|ac-\d+|until-\d+)$|until-\d+(?= \")|ling3-arg-string(?=\)$)"
)
"""The text of an argument: at the end of a rule, or before what ends it."""
NEXT = re.compile(r"\[(\\.|[^^\\])\] (ac-\d+-\d+)")
LAST = re.compile(r"^\[(\\.|[^^\\])\](?= \||$)")
ENDLESS = {
    "[0-9]+": "[0-9]",
    "[A-Za-z0-9_-]+": '"json"',
    r"""( [^"\\] | "\\" ( ["\\/ bfnrt] | "u" [0-9a-fA-F]{4} ) )* "\"" | json-number""": (
        r'[a-zA-Z0-9]{9} "\""'
    ),
}
"""The number of a call, the kind of its arguments and its id, which could go on for ever."""
FREE_ID = re.compile(r'\(("[^"]*") until-\d+\)\?')
FREE_END = re.compile(r" ?until-\d+\?")
"""Text that may stand for a call's id, and behind a call."""
BY_SCHEMA = re.compile(r"-schema(?:-|$)|^(?:array|object|value|string|number|integer)$")
"""The name of a rule that llama.cpp made from a schema."""
PLAIN_TEXT = {"type", "title", "description", "default", "examples"}
"""The keywords of a text that may be any text."""
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r"}


def at_once(grammar: str, *, reasons: bool) -> str:
    """Return the grammar without what may precede a call.

    With `reasons`, the prompt ends in reasoning that the grammar goes on with.
    """
    rules = rules_of(grammar)
    root = FREE_TEXT.sub("", rules[ROOT])
    rules[ROOT] = root if reasons else OPTIONAL.sub("", root)
    return text_of(
        {name: rule if BY_SCHEMA.search(name) else _ended(rule) for name, rule in rules.items()}
    )


def _ended(rule: str) -> str:
    """Return a rule of a form without what a model could write for ever."""
    for endless, ended in ENDLESS.items():
        rule = rule.replace(endless, ended)
    return FREE_END.sub("", FREE_ID.sub(r"(\1 [a-zA-Z0-9]{9})?", rule))


def with_enums(grammar: str, tools: Sequence[Mapping[str, Any]]) -> str:
    """Return the grammar with each text argument that is an enum held to its values."""
    rules = rules_of(grammar)
    for tool in tools:
        function = tool["function"]
        properties = (function.get("parameters") or {}).get("properties") or {}
        for name, schema in properties.items():
            values = schema.get("enum") if isinstance(schema, dict) else None
            if values and all(isinstance(value, str) for value in values):
                for rule in _argument_rules(rules, function["name"], name):
                    rules[rule] = _held(rules, rules[rule], values)
    return text_of(rules)


def holds(form: AnswerForm, tools: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether all that the form allows is a call whose arguments follow their schema."""
    ended = any(end.strip() in form.prompt_end for end in form.reasoning_ends)
    # What the prompt ends in is behind the reasoning already.
    rules = rules_of(at_once(form.grammar, reasons=False) if ended else form.grammar)
    free = {name for tool in tools for name in _plain_texts(rules, tool)}
    reached, left = {ROOT}, [ROOT]
    while left:
        words = WORD.findall(rules[left.pop()])
        for word, following in itertools.zip_longest(words, words[1:]):
            if word.startswith("[^") or word == ".":
                return False
            if word.startswith("[") and following in ("*", "+"):
                return False
            if word in rules and word not in reached:
                reached.add(word)
                if word not in free and not BY_SCHEMA.search(word):
                    left.append(word)
    return all(_holds_required(rules, reached, tool) for tool in tools)


def _plain_texts(rules: Mapping[str, str], tool: Mapping[str, Any]) -> list[str]:
    """Return the rules of the tool's arguments that may be any text."""
    function = tool["function"]
    properties = (function.get("parameters") or {}).get("properties") or {}
    return [
        rule
        for name, schema in properties.items()
        if isinstance(schema, dict) and schema.get("type") == "string" and {*schema} <= PLAIN_TEXT
        for rule in _argument_rules(rules, function["name"], name)
    ]


def _holds_required(rules: Mapping[str, str], reached: set[str], tool: Mapping[str, Any]) -> bool:
    """Return whether no required argument of a tool can be left out."""
    function = tool["function"]
    name = _rule_word(function["name"])
    if any(rule.endswith(f"tool-{name}-schema") for rule in reached):
        return True  # the arguments are JSON
    needed = (function.get("parameters") or {}).get("required") or ()
    sure = {
        word
        for rule in reached
        if rule.endswith(f"tool-{name}")
        for word in _always(iter(WORD.findall(rules[rule])))
    }
    return all(sure & {*_argument_rules(rules, function["name"], one)} for one in needed)


def _always(words: Iterator[str]) -> set[str]:
    """Return the words of a rule, or of a group up to its end, that no alternative leaves out."""
    alternatives: list[set[str]] = []
    found, last = set[str](), set[str]()
    for word in words:
        if word == ")":
            break
        if word == "|":
            alternatives.append(found | last)
            found, last = set(), set()
        elif word in ("*", "?", "{"):
            last = set()
        else:
            found |= last
            last = _always(words) if word == "(" else {word}
    return set.intersection(found | last, *alternatives)


def _argument_rules(rules: Mapping[str, str], tool: str, argument: str) -> list[str]:
    tool, argument = _rule_word(tool), _rule_word(argument)
    ends = f"tool-{tool}-arg-{argument}", f"-arg-{tool}-{argument}"
    return [name for name in rules if name.endswith(ends)]


def _rule_word(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9-]+", "-", name)


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
