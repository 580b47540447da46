"""Raw completions: which texts are taken as they are."""

from __future__ import annotations

from engines import demo, in_child


@in_child
def test_turns_written_out_are_seen() -> None:
    from runtime.terminal.completion import is_formatted

    model = demo()
    for text in ("<start_of_turn>user\nHi", "[INST] Hi [/INST]", f"a{model.token_text(1)}b"):
        assert is_formatted(text, model)
    for text in ("Hello!", "a < b > c", "[1] <b>bold</b>", ""):
        assert not is_formatted(text, model)
