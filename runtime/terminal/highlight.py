"""Line-by-line syntax highlighting (pygments) for code blocks, in the terminal's palette.

A line is displayed when it is complete, since its last character can change the meaning of its
first word. Nothing already displayed is redrawn.
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
"""ANSI colours by pygments token type; a type inherits the colour of its parent."""
LANGUAGE = re.compile(r"[\w+#.-]+")
WINDOW = 2048
"""Characters before a line that are lexed again with it; bounds the cost of a long block."""
RESET = "\x1b[0m"


class Highlighter:
    """Highlights one code block, line by line."""

    def __init__(self, lexer: Any) -> None:
        """`lexer` is a pygments lexer."""
        self._lexer = lexer
        self._before = ""

    def paint(self, line: str) -> str:
        """Return the next line of the block with ANSI colours; unchanged if the lexer fails."""
        begin, text = len(self._before), self._before + line
        # Some lexers need a line break, which the last line may lack.
        missing = "" if line.endswith("\n") else "\n"
        try:
            tokens = list(self._lexer.get_tokens_unprocessed(text + missing))
        except Exception:  # lexers can fail on incomplete code
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
    """Return the last offset in `text` from which it can be lexed without its beginning.

    That is the start of a line, if possible not indented, outside multi-line strings and comments.
    """
    starts = [
        place
        for place, kind, _ in tokens
        if text[place - 1 : place] == "\n" and _colour_of(kind) not in (TEXT, REMARK)
    ]
    outermost = [place for place in starts if not text[place : place + 1].isspace()]
    return (outermost or starts or [len(text)])[-1]


def highlighter(language: str) -> Highlighter | None:
    """Return a highlighter for a code block's language tag; None if the language is unknown."""
    name = LANGUAGE.search(language)
    if name is None:
        return None
    # Imported late: pygments takes longer to import than the rest of the chat.
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return Highlighter(get_lexer_by_name(name[0]))
    except ClassNotFound:
        return None


def _colour_of(kind: Any) -> str:
    """Return the ANSI colour of a pygments token type, empty for none."""
    name = str(kind)
    while name not in STYLES and name:
        name = name.rpartition(".")[0]
    return STYLES.get(name, "")


def _coloured(word: str, style: str) -> str:
    """Return `word` in a colour, except for line breaks."""
    if not style:
        return word
    return "\n".join(f"\x1b[{style}m{part}{RESET}" if part else "" for part in word.split("\n"))
