"""Sentences: where they end, in scripts with and without spaces, brackets kept whole."""

from __future__ import annotations

import re
import unicodedata

from runtime.documents.dates import MONTHS
from runtime.documents.wide import is_wide

Span = tuple[int, int]
"""Where something begins and ends in a text."""

BRACKETS = dict(zip("「『（【〈《〔［｛„“(", "」』）】〉》〕］｝“”)", strict=True))
REACH = 1000
"""Characters: brackets that are farther apart are none that belong together."""
WIDE_ENDS = "。｡．！？"
LINE_ENDS = ".:;!?。！？"
OTHER_ENDS = "।॥؟۔።։"
"""Of Hindi, Arabic, Urdu, Amharic and Armenian."""
PARTICLES = frozenset("とっはがをにのもでやなへ、。，")
"""What goes on with a sentence after a quotation: 「行く。」と言った。"""

_END = re.compile(
    rf"\n+|([{WIDE_ENDS}{OTHER_ENDS}!?.…]+)"
    "(?:[」』）】〉》〔〕］｝”’\"')\\]»›*_♪☆★♡♥\ufe0f\u200d\U0001f000-\U0001faff]|“(?=\\s|$))*"
)
"""With the brackets, quotation marks and emoji that belong to what they follow."""
_SPACE = re.compile(r"[^\S\n]*")
_WORD = re.compile(r"[^\s(\[„“\"'«/]*$")
_SAID = re.compile("[^，。]{0,6}[说道问答喊叫說問喊]")
"""What follows a quotation in Chinese."""
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")

ABBREVIATIONS = frozenset(
    # English
    "mr mrs ms dr prof st rev hon gen col capt lt sgt rep sen gov pres vs cf approx dept univ "
    "inc ltd corp bros jr sr nos pp vols figs eds "
    # German
    "bzw ca evtl ggf inkl exkl tel abb bd bsp dipl ing frl hrsg jh jhd mio mrd sog vgl zzgl abzgl "
    "aufl geb gest kath evang ev str"
    # French, Spanish
    " mme mlle mm sra ud uds av".split()
)
"""After which a sentence goes on."""
BEFORE_NUMBERS = frozenset(
    "no nr p s fig art abs sec ch ed vol max min sat sun mon tue wed thu fri kap jan feb mar apr "
    "jun jul aug sep sept oct okt nov dec dez op bl eq ex".split()
)
"""After which it goes on if a number follows."""
AT_ENDS = frozenset("etc usw u.s.w ff a.m p.m".split())
"""After which it ends if a capital follows."""
BEFORE_DAYS = frozenset("am den der dem vom zum bis ab seit im beim das die des jeden".split())


def sentences(text: str) -> list[Span]:
    """Return where the sentences of `text` stand: all of it but white space between them."""
    found: list[Span] = []
    begin = _after_space(text, 0)
    brackets = _Brackets(text)
    for match in _END.finditer(text):
        place, end = match.span()
        if not _ends(text, match, brackets, begin):
            continue
        # What combines with a space or a sign belongs to it, and no cut goes in between.
        following = _after_space(text, end)
        if text[place] != "\n":
            if following < len(text) and _combines(text[following]):
                continue
        else:
            end = begin + len(text[begin:place].rstrip())
        if end > begin:
            found.append((begin, end))
        begin = max(begin, following)
    last = len(text.rstrip())
    if last > begin:
        found.append((begin, last))
    return found


class _Brackets:
    """The outermost pairs of brackets of a text, asked from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._pairs = _pairs(text)
        self._at = 0

    def around(self, place: int) -> Span | None:
        """Return the pair that `place` is in; places come in their order."""
        while self._at < len(self._pairs) and self._pairs[self._at][1] <= place:
            self._at += 1
        if self._at < len(self._pairs) and self._pairs[self._at][0] < place:
            return self._pairs[self._at]
        return None


_SIGNS = re.compile(f"[{re.escape(''.join(BRACKETS) + ''.join(BRACKETS.values()))}\n]")


def _pairs(text: str) -> list[Span]:
    closing = {close: open for open, close in BRACKETS.items()}
    waiting: list[tuple[str, int]] = []
    counts = dict.fromkeys(BRACKETS, 0)
    pairs: list[Span] = []
    for match in _SIGNS.finditer(text):
        sign, place = match[0], match.start()
        if sign in counts and not (sign == "“" and counts["„"]):  # which ends what „ began
            waiting.append((sign, place))
            counts[sign] += 1
        elif sign == "\n":
            waiting.clear()
            counts = dict.fromkeys(BRACKETS, 0)
        elif counts[closing[sign]]:
            while True:  # what was opened in between, and never closed, is passed over
                opened, begin = waiting.pop()
                counts[opened] -= 1
                if opened == closing[sign]:
                    break
            if place - begin <= REACH:
                while pairs and pairs[-1][0] > begin:
                    pairs.pop()
                pairs.append((begin, place))
    return pairs


def _ends(text: str, match: re.Match[str], brackets: _Brackets, begin: int) -> bool:
    """Return whether a sentence, which begins at `begin`, ends with what was found."""
    place, end = match.span()
    if text[place] == "\n":
        # A line that goes on with a small letter was wrapped where nobody can tell any more.
        return (
            end - place > 1
            or not text[end : end + 1].islower()
            or text[place - 1 : place] in LINE_ENDS
        )
    if end < len(text) and _combines(text[end]):
        return False
    around = brackets.around(place)
    if around:
        if around[1] >= end:
            return False
        opening = text[around[0]]
        if opening in "「『":
            return _following(text, end, 1) not in PARTICLES
        if opening == "“" and _SAID.match(_following(text, end, 10)):
            return False
        if opening not in "(„“":  # a remark in a sentence, or one that is a sentence of its own
            return around[0] <= begin
    marks = match[1]
    following = text[end : end + 1]
    if "．" in marks and following.isdigit():
        return False
    if any(mark in marks for mark in WIDE_ENDS + OTHER_ENDS):
        return True
    if not following:
        return True
    if not following.isspace():
        return marks[-1] in "!?" and is_wide(following)
    word = _following(text, end, 20)
    if word[:1].islower():
        return False
    return marks != "." or not _is_abbreviation(text, place, word, begin)


def _is_abbreviation(text: str, place: int, following: str, begin: int) -> bool:
    """Return whether the full stop at `place` belongs to the word before it."""
    before = text[max(0, place - 30) : place]
    found = _WORD.search(before)
    word = (found[0] if found else "").lower()
    numeral = following[:1].isdigit()
    if word in AT_ENDS:
        return not following[:1].isupper()
    if word in ABBREVIATIONS or (len(word) == 1 and word.isalpha()) or _DOTTED.fullmatch(word):
        return True
    if word in BEFORE_NUMBERS:
        return numeral
    if word.isdigit() and len(word) <= 2:  # a day, or the number of an item
        ahead = before[: -len(word)].split()
        month = re.match(r"[^\W\d_]+", following)
        return (
            place - len(word) == begin
            or (bool(ahead) and ahead[-1].lower() in BEFORE_DAYS)
            or (month is not None and month[0].lower() in MONTHS)
        )
    return False


def _following(text: str, place: int, count: int) -> str:
    begin = _after_space(text, place)
    return text[begin : begin + count]


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _combines(char: str) -> bool:
    """Return whether a character is drawn together with the one before it."""
    return (
        unicodedata.category(char)[0] == "M"
        or char in "\u200c\u200d\uff9e\uff9f"
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
    )
