from __future__ import annotations

import pytest

from runtime.chat_format.carried_reasoning import MARK, packed, unpacked


@pytest.mark.parametrize("text", ["", "I think so.", "Zoë\n日本 😀", "\ud800"])
def test_reasoning_comes_back_as_it_was(text: str) -> None:
    assert text.replace("\ud800", "?") == unpacked(packed(text))


@pytest.mark.parametrize("other", ["", "gAAAAABo", MARK + "!", MARK + "a", packed("é") + "\x00"])
def test_what_others_have_packed_is_nothing(other: str) -> None:
    assert "" == unpacked(other)
