"""A stranger's text on a terminal: what would steer it is taken out."""

from __future__ import annotations


def plain(text: str) -> str:
    """Return one line of text without control and other invisible characters."""
    return "".join(c if c.isprintable() else " " for c in text)


def plain_lines(text: str) -> str:
    """Return text of several lines without such characters."""
    return "\n".join(plain(line) for line in text.split("\n"))
