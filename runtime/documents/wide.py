"""Wide characters: those of scripts without spaces, which take two columns each."""

from __future__ import annotations

import unicodedata

WIDE = frozenset("WF")


def is_wide(char: str) -> bool:
    """Return whether a character is of a script without spaces: Hangul and emoji are not."""
    return (
        unicodedata.east_asian_width(char) in WIDE
        and not "\uac00" <= char <= "\ud7a3"
        and not "\U0001f000" <= char <= "\U0001ffff"
    )


def columns(text: str) -> int:
    """Return how many columns `text` takes where wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(1 + (unicodedata.east_asian_width(char) in WIDE) for char in text)
