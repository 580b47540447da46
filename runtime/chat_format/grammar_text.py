"""Text of llama.cpp's grammars (GBNF): its rules and their words."""

from __future__ import annotations

import re
from collections.abc import Mapping

ROOT = "root"
WORD = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|[A-Za-z][A-Za-z0-9-]*|\S', re.A)
"""A literal, a class of characters, the name of a rule, or a sign."""


def rules_of(grammar: str) -> dict[str, str]:
    """Return the rules of a grammar by their names."""
    found = (line.partition(" ::= ") for line in grammar.split("\n") if " ::= " in line)
    return {name: rule for name, _, rule in found}


def text_of(rules: Mapping[str, str]) -> str:
    """Return the grammar of such rules."""
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items())
