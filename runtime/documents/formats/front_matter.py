"""Front matter: the lines of `key: value` between dashes that a Markdown file may begin with.

That is a subset of YAML: keys without levels, and lists in one line or one item a line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LINES = 200
"""More is no front matter, but a text that begins with a rule."""
USED = {"title", "date", "kind"}
"""What becomes metadata of its own; all else is kept as text."""

_PAIR = re.compile(r"([\w][\w .-]{0,60}?)\s?:(?:\s+(.*)|$)")
_ITEM = re.compile(r"\s*-\s+(.*)")


@dataclass
class FrontMatter:
    """What a file says of itself, and where its text begins."""

    values: dict[str, str] = field(default_factory=dict)
    """By keys in lower case."""
    lines: int = 0
    """How many lines it takes."""

    @property
    def others(self) -> str:
        """Return what becomes no metadata, a line each."""
        return "\n".join(
            f"{key}: {value}" for key, value in self.values.items() if value and key not in USED
        )


def front_matter(lines: list[str]) -> FrontMatter:
    """Return the front matter that `lines` begin with, which may be none."""
    if not lines or lines[0].rstrip() != "---":
        return FrontMatter()
    values: dict[str, str] = {}
    key = ""
    for number, line in enumerate(lines[1:LINES], 2):
        if line.rstrip() in ("---", "..."):
            return FrontMatter(values, number) if values else FrontMatter()
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (pair := _PAIR.fullmatch(line.rstrip())) and not line[0].isspace():
            key = pair[1].strip().lower()
            values[key] = _scalar(pair[2] or "")
        elif key and (item := _ITEM.fullmatch(line.rstrip())):
            values[key] = ", ".join(filter(None, (values[key], _scalar(item[1]))))
        elif key and line[0].isspace():  # a value that goes on, or one with levels
            values[key] = " ".join(filter(None, (values[key], _scalar(line))))
        else:
            return FrontMatter()
    return FrontMatter()


def _scalar(text: str) -> str:
    """Return a value as plain text: without quotes, comments and brackets."""
    text = text.strip()
    if text[:1] in ("'", '"') and text[-1:] == text[0] and len(text) > 1:
        return text[1:-1]
    text = text.partition(" #")[0].rstrip()
    if text in ("|", ">", "|-", ">-", "~", "null"):
        return ""
    if text.startswith("[") and text.endswith("]"):
        return ", ".join(filter(None, (_scalar(part) for part in text[1:-1].split(","))))
    return text
