"""Code in colours: pygments tells its words apart, the terminal's own palette paints them.

A line is shown when it is complete, since its last character may change what its first word is; so
nothing on the screen is ever taken back.
"""

from __future__ import annotations

import re
from itertools import groupby
from operator import itemgetter
from typing import Any

KEYWORD, TEXT, NUMBER, NAME, REMARK, REMOVED = "35", "32", "33", "36", "2", "31"
STYLES = {
    "Token.Keyword": KEYWORD,
    "Token.Operator.Word": KEYWORD,
    "Token.Name.Tag": KEYWORD,
    "Token.Literal.String": TEXT,
    "Token.Literal.Number": NUMBER,
    "Token.Keyword.Constant": NUMBER,
    "Token.Name.Decorator": NUMBER,
    "Token.Name.Function": NAME,
    "Token.Name.Class": NAME,
    "Token.Name.Builtin": NAME,
    "Token.Name.Attribute": NAME,
    "Token.Comment": REMARK,
    "Token.Comment.Preproc": KEYWORD,
    "Token.Generic.Inserted": TEXT,
    "Token.Generic.Deleted": REMOVED,
    "Token.Generic.Subheading": NAME,
}
"""Colours by pygments' names of tokens; a kind takes after the one that it is a part of."""
LANGUAGE = re.compile(r"[\w+#.-]+")
WINDOW = 2048
"""Characters that are looked at again with every line, so that a long block stays cheap."""
RESET = "\x1b[0m"


class Highlighter:
    """Paints the lines of one block of code."""

    def __init__(self, lexer: Any) -> None:
        """`lexer` is pygments'."""
        self._lexer = lexer
        self._before = ""

    def paint(self, line: str) -> str:
        """Return the next line of the block with its colours; without them it is unchanged."""
        begin, text = len(self._before), self._before + line
        # Some lexers need the end of the line; of the last one it may not have come.
        missing = "" if line.endswith("\n") else "\n"
        try:
            tokens = list(self._lexer.get_tokens_unprocessed(text + missing))
        except Exception:  # a lexer is a program, and half a text not what it was written for
            tokens = []
        if "".join(word for _, _, word in tokens) != text + missing:
            self._before = ""
            return line
        words = [
            (_colour_of(kind), word[max(0, begin - place) :])
            for place, kind, word in tokens
            if place + len(word) > begin
        ]
        if len(text) > WINDOW:
            text = text[_fresh_start(text, tokens) :]
        self._before = text
        painted = "".join(
            _coloured("".join(word for _, word in run), style)
            for style, run in groupby(words, key=itemgetter(0))
        )
        return painted.removesuffix(missing)


def _fresh_start(text: str, tokens: list[tuple[int, Any, str]]) -> int:
    """Return the last place at which the rest can be read as if nothing had been before.

    That is the start of a line, not indented if there is such a one, which is no part of a text or
    remark of several lines.
    """
    starts = [
        place
        for place, kind, _ in tokens
        if text[place - 1 : place] == "\n" and _colour_of(kind) not in (TEXT, REMARK)
    ]
    outermost = [place for place in starts if not text[place : place + 1].isspace()]
    return (outermost or starts or [len(text)])[-1]


def highlighter(language: str) -> Highlighter | None:
    """Return what paints a block that calls itself `language`; None where nobody knows that."""
    name = LANGUAGE.search(language)
    if name is None:
        return None
    # Only when it is needed: it takes longer to import than all the rest of the chat.
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return Highlighter(get_lexer_by_name(name[0]))
    except ClassNotFound:
        return None


def _colour_of(kind: Any) -> str:
    """Return the colour of a kind of token, empty for none."""
    name = str(kind)
    while name not in STYLES and name:
        name = name.rpartition(".")[0]
    return STYLES.get(name, "")


def _coloured(word: str, style: str) -> str:
    """Return `word` in its colour; the ends of lines, and what is empty, stay without."""
    if not style:
        return word
    return "\n".join(f"\x1b[{style}m{part}{RESET}" if part else "" for part in word.split("\n"))
