"""Markdown on the screen, styled while it is still coming."""

from __future__ import annotations

import re

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.markdown import Markdown


def shown(text: str, size: int = 1) -> str:
    """Return what is written for a text that comes in pieces, styles as letters in brackets."""
    out: list[str] = []
    screen = Markdown(out.append)
    for start in range(0, len(text), size):
        screen.write(text[start : start + size])
    screen.close()
    names = {"0": "/", "1": "b", "3": "i", "36": "c", "2": "d", "1;4": "h"}
    return re.sub(r"\x1b\[([\d;]+)m", lambda m: f"[{names[m[1]]}]", "".join(out))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("a **bold** word", "a [b]bold[/] word"),
        ("a *slanted* word", "a [i]slanted[/] word"),
        ("**all *of* it**", "[b]all [i]of[/][b] it[/]"),
        ("2 * 3 * 4 and 2*3*4", "2 * 3 * 4 and 2*3*4"),
        ("2 ** 3", "2 ** 3"),
        ("call `f(*a, **b)` now", "call [c]f(*a, **b)[/] now"),
        (r"\*not\* this, but C:\dir", r"*not* this, but C:\dir"),
        ("# Title\ntext", "[h]Title[/]\ntext"),
        ("#hashtag", "#hashtag"),
        ("- one\n* two\n  + **three**", "• one\n• two\n  • [b]three[/]"),
        ("1. one\n2. two", "1. one\n2. two"),
        ("-1 is less\n---\n", "-1 is less\n---\n"),
        ("> said", "[d]│[/] said"),
        ("```python\na = **b\n\n# no\n```\nend", "[d]python[/]\n[c]a = **b\n\n# no\n[/]end"),
        ("```\nx\n`````\n", "[d]code[/]\n[c]x\n[/]"),
        ("~~~\n```\n~~~\n", "[d]code[/]\n[c]```\n[/]"),
        ("```c\nint x;", "[d]c[/]\n[c]int x;[/]"),
        ("**open\nnext", "[b]open[/]\nnext"),
        ("**open", "[b]open[/]"),
        ("a `b", "a [c]b[/]"),
        ("trailing *", "trailing *"),
        ("``` not a fence ``` here", None),
        ("", ""),
    ],
)
def test_styles(text: str, expected: str | None) -> None:
    for size in (1, 2, 3, 100):
        found = shown(text, size)
        assert expected is None or expected == found


@given(st.text(alphabet="ab *`#->\n\\~1.", max_size=60))
def test_pieces_do_not_matter_and_no_style_is_left(text: str) -> None:
    whole = shown(text, 1000)
    for size in (1, 2, 5):
        assert whole == shown(text, size)
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(re.sub(r"\[(\w|/)\]", "", whole).replace("\n", "\r\n"))
    styles = re.findall(r"\[([bichd/])\]", whole)
    assert not styles or styles[-1] == "/"


@given(st.text(alphabet="abc é😀\n.,1", max_size=60))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert text == shown(text)


def test_text_is_shown_as_soon_as_it_is_certain() -> None:
    out: list[str] = []
    screen = Markdown(out.append)
    for piece, expected in (
        ("Hel", "Hel"), ("lo *", "Hello "), ("x", "Hello \x1b[3mx"),
        ("\n#", "Hello \x1b[3mx\x1b[0m\n"),
    ):  # fmt: skip
        screen.write(piece)
        assert expected == "".join(out)
