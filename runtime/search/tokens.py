"""Tokens: what texts and questions are compared by, the same for both.

Scripts that put no spaces between words give pairs of signs, and single ones; other scripts give
words, without marks and endings. Numbers lose the zeros before them. The rules have a number, which
an index keeps: a change of any of them needs another.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping

from runtime.search.stems import stem

RULES = 1
"""The number of the rules; an index made by others has words that nothing here finds."""
LONGEST = 40
"""Characters of a token. What is longer is no word, and known by its beginning."""

IDEOGRAPHS = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31f0-\u31ff"
HANGUL = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
THAI = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u103f\u1780-\u17d3"
"""Thai, Lao, Burmese and Khmer."""
DENSE = IDEOGRAPHS + KANA + HANGUL + THAI
"""Signs of scripts without spaces, or whose words are long compounds, in Unicode's ranges."""
INDIC = "\u0900-\u0963\u0966-\u0dff"
"""Scripts whose vowels are signs of their own, which Python does not take for parts of words."""
RUNS = re.compile(f"([{DENSE}]+)|((?:[^\\W_{DENSE}]|[{INDIC}])+)")
PLAIN_WORDS = re.compile(r"[a-z]+|[0-9]+")
ALONE = re.compile(f"[{IDEOGRAPHS}]")
COMPOUND, HEAD = 7, 5
"""A stem of so many letters gives so many of them as one more token: it may be a compound, of which
German has one for everything, or have an ending that is not dropped."""
MARKS = (*range(0x300, 0x370), *range(0x591, 0x5C8), *range(0x610, 0x61B), *range(0x64B, 0x660))
"""Accents, the points of Hebrew, the vowels of Arabic: texts with and without are the same."""
MARKED = (range(0xC0, 0x250), range(0x370, 0x530), range(0x1E00, 0x2000))
"""Latin, Greek and Cyrillic letters, of which some have accents."""
UNLIKE = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"}
SPELLED = {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"}
"""What some write in two letters: found both ways, beside the letter without its mark."""


def tokens(text: str) -> Iterator[str]:
    """Yield the tokens of a text or a question, as often as they are there."""
    for run, word in _runs(text):
        if run:
            yield from _pairs(run)
            yield from ALONE.findall(run) if len(run) > 1 else ()
        else:
            yield from _words(word)


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """Yield runs of signs, and of letters or digits, as one or the other."""
    if text.isascii():
        for word in PLAIN_WORDS.findall(text.lower()):
            yield "", word
        return
    folded = unicodedata.normalize("NFKC", text).casefold()
    yield from RUNS.findall(folded)


def _pairs(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    for first, second in itertools.pairwise(run):
        yield first + second


def _words(word: str) -> Iterator[str]:
    """Yield the tokens of letters and digits without anything between them."""
    if not word.isascii():
        if any(letter in SPELLED for letter in word):
            yield from _words("".join(SPELLED.get(letter, letter) for letter in word))
        word = word.translate(_folded())
    for part in PLAIN_WORDS.findall(word) if word.isascii() else [word]:
        if part[0].isdigit():
            yield part.lstrip("0")[:LONGEST] or "0"
            continue
        stemmed = stem(part)
        yield stemmed[:LONGEST]
        if len(stemmed) >= COMPOUND:
            yield f"{stemmed[:HEAD]}*"


@functools.cache
def _folded() -> Mapping[int, str | None]:
    """Return letters without their marks, by their numbers."""
    table: dict[int, str | None] = dict.fromkeys(MARKS)
    for code in (code for codes in MARKED for code in codes):
        base, *marks = list(unicodedata.normalize("NFD", chr(code)))
        if marks and all(ord(mark) in table for mark in marks):
            table[code] = base
    table.update((ord(letter), other) for letter, other in UNLIKE.items())
    return table
