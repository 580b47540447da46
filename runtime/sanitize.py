"""Sanitizing of untrusted text for a terminal: removes control characters."""

from __future__ import annotations


def plain(text: str) -> str:
    """Return `text` as one line, with each unprintable character replaced by a space."""
    return "".join(c if c.isprintable() else " " for c in text)


def plain_lines(text: str) -> str:
    """Return `text` with each line sanitized by `plain`; line breaks are kept."""
    return "\n".join(plain(line) for line in text.split("\n"))
