"""Markdown on the screen, styled while it is still coming."""

from __future__ import annotations

import re
import time

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.terminal.markdown import Markdown


def shown(text: str, size: int = 1) -> str:
    """Return what is written for a text that comes in pieces, styles as letters in brackets."""
    out: list[str] = []
    screen = Markdown(out.append)
    for start in range(0, len(text), size):
        screen.write(text[start : start + size])
    screen.close()
    names = {
        "0": "/", "1": "b", "3": "i", "36": "c", "2": "d", "1;4": "h",
        "35": "k", "32": "s", "33": "n", "31": "r",
    }  # fmt: skip
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
        ("```nothing\na = **b\n\n# no\n```\nend", "[d]nothing[/]\n[c]a = **b\n\n# no\n[/]end"),
        (
            "```python\ndef f(x):\n    # no\n    return 'a' + x\n```\nend",
            "[d]python[/]\n[k]def[/] [c]f[/](x):\n    [d]# no[/]\n"
            "    [k]return[/] [s]'a'[/] + x\n[/]end",
        ),
        ("``` c++ {x}\nint x;\n```\n", "[d]c++ {x}[/]\n[k]int[/] x;\n[/]"),
        ("```diff\n-a\n+b", "[d]diff[/]\n[r]-a[/]\n[s]+b[/][/]"),
        ("```\nx\n`````\n", "[d]code[/]\n[c]x\n[/]"),
        ("~~~\n```\n~~~\n", "[d]code[/]\n[c]```\n[/]"),
        ("```c\nint x;", "[d]c[/]\n[k]int[/] x;[/]"),
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


PYTHON = """@cache
def f(x: int) -> str:
    \"\"\"Say
    it, \'twice\'.
    \"\"\"
    return f"{x}" * 2  # é
"""


def lines(language: str, code: str) -> str:
    """Return a block of code as it is written, without its head."""
    out: list[str] = []
    screen = Markdown(out.append)
    for char in f"```{language}\n{code}```\n":
        screen.write(char)
    screen.close()
    return "".join(out).partition("\n")[2]


def test_what_spans_lines_keeps_its_colour() -> None:
    text = lines("python", PYTHON)

    assert "\x1b[32m    it, 'twice'.\x1b[0m\n" in text
    assert "\x1b[35mreturn\x1b[0m" in text
    assert "\x1b[2m# é\x1b[0m\n" in text


@pytest.mark.parametrize(
    "language", ["python", "c++", "js", "sh", "html", "json", "ruby", "yaml", "wat", "rust"]
)
@given(st.text(alphabet="ab\"'#/*<>(){}=:;$@\\ \n\té1.", max_size=80))
def test_code_can_be_copied(language: str, code: str) -> None:
    code = f"{code}\n"
    found = re.sub(r"\x1b\[[\d;]+m", "", lines(language, code))

    assert code == found


def test_a_long_block_stays_cheap_and_whole() -> None:
    code = PYTHON * 40
    begin = time.process_time()
    found = lines("python", code)

    assert code == re.sub(r"\x1b\[[\d;]+m", "", found)
    assert found.count("\x1b[35mreturn") == 40
    assert time.process_time() - begin < 10


def test_a_line_of_code_is_shown_when_it_is_complete() -> None:
    out: list[str] = []
    screen = Markdown(out.append)
    for piece, expected in (
        ("```py\n", "\x1b[2mpy\x1b[0m\n"), ("x = ", ""), ("1", ""),
        ("\n", "x = \x1b[33m1\x1b[0m\n"),
    ):  # fmt: skip
        out.clear()
        screen.write(piece)
        assert expected == "".join(out)
