"""Escapes that are read as llama.cpp's -e reads them."""

from __future__ import annotations

import pytest

from runtime.commands.click_options import read_escapes
from runtime.options.escapes import unescaped
from runtime.options.registry import from_pairs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a\nb\tc\rd", "a\nb\tc\rd"),
        (r"\'\"\\", "'\"\\"),
        (r"\x41\x0a", "A\n"),
        (r"\xc3\xa9 ü", "é ü"),
        (r"\q \x4 \xzz", r"\q \x4 \xzz"),
        ("ends in \\", "ends in \\"),
        (r"\\n", r"\n"),
    ],
)
def test_escapes(text: str, expected: str) -> None:
    assert expected == unescaped(text)


def test_escapes_are_read_in_a_stop_string_as_it_is_typed() -> None:
    given = read_escapes({"stop": (r"a\n", r"\\n"), "system": r"a\n", "temp": None})

    assert {"stop": ("a\n", r"\n"), "system": r"a\n", "temp": None} == given
    assert {"stop": ("a\n", "b")} == from_pairs([r"stop=a\n", "reverse_prompt=b"])
    assert {"system": r"a\n"} == from_pairs([r"system=a\n"])
