"""Sanitizing of untrusted text for a terminal: removes control characters."""

from __future__ import annotations

SHOWN: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(32)},  # Unicode's pictures of controls
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **{0x7F: "\u2421", ord("\n"): "\n", ord("\t"): "\t", ord("\r"): ""},
}


def plain(text: str) -> str:
    """Return `text` as one line, with each unprintable character replaced by a space."""
    return "".join(c if c.isprintable() else " " for c in text)


def shown(text: str) -> str:
    """Return `text` with control characters made visible; tabs and line breaks are kept.

    Unlike `plain` it leaves all others, such as those that join emoji: for whole texts.
    """
    return text.translate(SHOWN)


def plain_lines(text: str) -> str:
    """Return `text` with each line sanitized by `plain`; line breaks are kept."""
    return "\n".join(plain(line) for line in text.split("\n"))
