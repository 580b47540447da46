"""Follow-ups: questions that only make sense after those before them, made ones of their own.

"And the year before?" has no word that a document could be found by. Where the model can, it asks
the whole question in their place; otherwise the questions before lend their words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.search.tokens import DENSE

Rewrite = Callable[["Sequence[Turn]", str], "str | None"]
"""Asks a model: given the turns before and a question, returns a whole one; None if it cannot."""

TURNS = 3
"""Turns that are looked at: what was talked about before them is another matter by now."""
FEW_WORDS, FEW_SIGNS = 4, 10
"""Up to so many words, or signs of scripts without spaces, a question is likely to be a part."""
MANY_WORDS, MANY_SIGNS = 12, 24
"""From so many on, what a pronoun stands for is likely in the question itself."""
LONGEST = 400
"""Characters of a rewritten question; a model that writes more has answered it, or talks."""

OPENING = re.compile(
    r"(?:and|but|so|then|or|also|what about|how about|und|aber|oder|also|dann|was ist mit|auch)\b"
    r"|(?:では|じゃあ?|でも|それ|そこ|その|そして|あと|ほかに|また)"
)
"""What begins one that goes on."""
POINTING = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this|these|there|"
    r"er|sie|ihn|ihm|ihr|ihre[mnrs]?|dies|diese[mnrs]?|deren|dessen|dort|"
    r"darin|daran|darauf|davon|dafür|dabei|damit|dazu|danach|davor|denen|derselbe|dieselbe)\b"
    r"|それ|その|そこ|そんな|そう|これ|この|ここ|あれ|あの|あそこ|彼|前の年|次の年|翌年"
)
"""What stands for something that was named before."""
NAME, NUMBER = re.compile(r"(?<=[a-z,] )(?!I\b)[A-Z]"), re.compile("[0-9]{3}")
"""A name within a question, or a number with which something is called."""
CAPITALS = re.compile(
    r"\b(?:w(?:ie|er|en|em|ann|arum|o\w*|elche\w*|ird|ar)|der|die|das|ist|sind|hat)\b"
)
"""Words of German, which writes all nouns as other languages write names."""
WORD = re.compile(r"[^\W_]+")
SIGN = re.compile(f"[{DENSE}]")


@dataclass(frozen=True)
class Turn:
    """A question of the user, and what was answered."""

    question: str
    answer: str = ""


@dataclass(frozen=True)
class Asked:
    """What to look for."""

    question: str
    """The question as it was put, or rewritten to stand alone."""
    context: str = ""
    """What lends it words that count less; empty where it stands alone."""


def turns_of(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Return the questions in messages with roles, and what was answered to each; only texts."""
    turns: list[Turn] = []
    for message in messages:
        text = message.get("content")
        if not isinstance(text, str):
            continue
        if message.get("role") == "user":
            turns.append(Turn(text))
        elif message.get("role") == "assistant" and turns:
            turns[-1] = Turn(turns[-1].question, text)
    return turns


def is_part(question: str) -> bool:
    """Return whether a question likely needs those before it to be understood."""
    plain = unicodedata.normalize("NFKC", question).strip()
    folded = plain.casefold()
    if OPENING.match(folded):
        return True
    signs, words = len(SIGN.findall(plain)), len(WORD.findall(plain))
    count, few, many = (signs, FEW_SIGNS, MANY_SIGNS) if signs else (words, FEW_WORDS, MANY_WORDS)
    if count > few and not (count < many and POINTING.search(folded)):
        return False
    named = NAME.search(plain) and not CAPITALS.search(folded)
    return not (named or NUMBER.search(plain))


def asked(question: str, before: Sequence[Turn], rewrite: Rewrite | None = None) -> Asked:
    """Return what to look for, after the turns `before`, the oldest first."""
    turns = before[-TURNS:]
    if not turns or not is_part(question):
        return Asked(question)
    if rewrite and (whole := _usable(rewrite(turns, question))):
        return Asked(whole)
    return Asked(question, turns[-1].question)


def _usable(rewritten: str | None) -> str:
    """Return a question that a model has written, or nothing if it is none."""
    line = next(iter((rewritten or "").strip().splitlines()), "").strip().strip('"“”„«»「」')
    return line if len(line) <= LONGEST else ""
