"""Raw completions: escapes, and which texts are taken as they are."""

from __future__ import annotations

import pytest
from engines import demo, in_child

from runtime.terminal.completion import unescaped


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


@in_child
def test_turns_written_out_are_seen() -> None:
    from runtime.terminal.completion import is_formatted

    model = demo()
    for text in ("<start_of_turn>user\nHi", "[INST] Hi [/INST]", f"a{model.token_text(1)}b"):
        assert is_formatted(text, model)
    for text in ("Hello!", "a < b > c", "[1] <b>bold</b>", ""):
        assert not is_formatted(text, model)
