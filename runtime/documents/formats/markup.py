"""Tags and text of HTML, taken apart in one pass: none takes longer than its length.

The standard library's parser begins anew at what has no end, so that a megabyte may take hours, and
what it makes of odd pages has changed with almost every version of Python: but the same folder has
to give the same bytes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from runtime.documents.time_limit import check_time

RAW = frozenset("script style iframe noembed noframes textarea title".split())
"""Elements that have no tags inside."""
ATTRIBUTES = 10_000
"""Characters of a tag that are looked at for them."""
CHECK_EVERY = 1000
"""Tags."""

_NAME = re.compile(r"[a-zA-Z][^\s/>]*")
_STOP = re.compile(r">|=\s*([\"'])")
_ATTRIBUTE = re.compile(r"([^\s=/>\"']+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]*)))?")


@dataclass(frozen=True)
class Tag:
    """A tag with what it says, or text between tags."""

    kind: Literal["start", "end", "text"]
    name: str
    """In lower case; of text, the text itself."""
    attributes: dict[str, str] = field(default_factory=dict)


def tags(text: str) -> Iterator[Tag]:
    """Yield what `text` has, in its order; comments and declarations are left out."""
    place, count = 0, 0
    while place < len(text):
        begin = text.find("<", place)
        if begin < 0:
            yield Tag("text", unescaped(text[place:]))
            return
        if begin > place:
            yield Tag("text", unescaped(text[place:begin]))
        count += 1
        if count % CHECK_EVERY == 0:
            check_time()
        following = text[begin + 1 : begin + 2]
        if following in ("!", "?"):
            place, inside = _declaration(text, begin)
            if inside:
                yield Tag("text", inside)
        elif name := _NAME.match(text, begin + 1 + (following == "/")):
            place = _end_of_tag(text, name.end())
            if following == "/":
                yield Tag("end", name[0].lower())
                continue
            said = text[name.end() : min(place, name.end() + ATTRIBUTES)]
            tag = Tag("start", name[0].lower(), _attributes(said))
            yield tag
            if said.rstrip(">").endswith("/"):  # as XHTML has it
                yield Tag("end", tag.name)
            elif tag.name in RAW:
                inside_end = _end_of_raw(text, place, tag.name)
                if tag.name in ("textarea", "title"):
                    yield Tag("text", unescaped(text[place:inside_end]))
                place = inside_end
        else:
            yield Tag("text", "<")
            place = begin + 1


def unescaped(text: str) -> str:
    """Return text with its entities as characters."""
    try:
        return html.unescape(text) if "&" in text else text
    except ValueError:  # the number of a character has thousands of digits
        return text


def _declaration(text: str, begin: int) -> tuple[int, str]:
    """Return where a comment or a declaration ends, and what of it is text."""
    if text.startswith("<!--", begin):
        end = text.find("-->", begin + 4)
        return (end + 3 if end >= 0 else len(text)), ""
    if text.startswith("<![CDATA[", begin):
        end = text.find("]]>", begin)
        end = end if end >= 0 else len(text)
        return end + 3, text[begin + 9 : end]
    end = text.find(">", begin)
    return (end + 1 if end >= 0 else len(text)), ""


def _end_of_tag(text: str, place: int) -> int:
    """Return where a tag ends, whose attributes may have its sign in quotes."""
    while stop := _STOP.search(text, place):
        if not stop[1]:
            return stop.end()
        closing = text.find(stop[1], stop.end())
        if closing < 0:  # a quotation that never ends is none
            simple = text.find(">", place)
            return simple + 1 if simple >= 0 else len(text)
        place = closing + 1
    return len(text)


def _end_of_raw(text: str, place: int, name: str) -> int:
    """Return where the tag begins that ends an element without tags inside."""
    found = re.compile(rf"</{name}(?=[\s/>])", re.I).search(text, place)
    return found.start() if found else len(text)


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text):
        value = match[2] or match[3] or match[4] or ""
        found.setdefault(match[1].lower(), unescaped(value))
    return found
