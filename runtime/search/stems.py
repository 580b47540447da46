"""Stems: words without the endings that change their form, of English and of German at once.

Which of the two a word is from is not known: a question has few words. So only endings are dropped
that one of them has often and the other seldom means something else by; what Snowball's stemmers
also do needs the language.
"""

from __future__ import annotations

import re

LEAST = 3
"""Letters that stay."""
LATIN = re.compile(r"[a-z]+")
VOWEL = re.compile("[aeiouy]")
ENDINGS = re.compile("(?<=[^e])(?:ern|em|er|en|es|e|n)$|(?<=[bcdfghklmnoprtvwyz])s$")
"""Kindern, Kinder, Kindes, Kinde; houses, house. An s only where it can be one: not in Haus."""
STEPS = 2
"""How many endings a word loses: Gartens, teachers have two."""


def stem(word: str) -> str:
    """Return a lower-case word without its endings; as it is where it is not of Latin letters."""
    if len(word) <= LEAST or not LATIN.fullmatch(word):
        return word
    word = _without_s(word)
    for ending in ("ing", "ed"):
        if word.endswith(ending) and _is_word(word[: -len(ending)]):
            word = word[: -len(ending)]
            return _single(word[:-1] if word.endswith("e") and len(word) > LEAST else word)
    for _ in range(STEPS):
        rest = ENDINGS.sub("", word)
        if rest == word or not _is_word(rest):
            break
        word = rest
    return _single(word)


def _without_s(word: str) -> str:
    """Return a word without the s of an English plural that changes more than that."""
    if word.endswith("ies") and len(word) > LEAST + 1:
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(("sses", "shes", "ches", "xes")) else word


def _is_word(rest: str) -> bool:
    return len(rest) >= LEAST and VOWEL.search(rest) is not None


def _single(word: str) -> str:
    """Return a word with a y as i, and one consonant in place of two at its end: running, run."""
    if len(word) > LEAST and word[-1] == word[-2] and word[-1] not in "aeiou":
        return word[:-1]
    return f"{word[:-1]}i" if word.endswith("y") and len(word) > LEAST else word
