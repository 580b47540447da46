"""Prompts far longer than the context are refused before all of them is tokenized."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from runtime.model.model import Model
from runtime.server.http.http_error import HTTPError
from runtime.server.service.prompt_tokenizer import CHARACTERS, LONG, PromptTokenizer

ROOM = 10_000


@dataclass
class Vocabulary:
    """A token for each `width` characters, and the lengths of what was asked."""

    width: int
    asked: list[int] = field(default_factory=list)
    bos: str = ""
    adds_bos: bool = False

    def tokenize(self, text: str, *, beginning: bool) -> list[int]:
        self.asked.append(len(text))
        return [1] * (beginning + len(text) // self.width)


@pytest.mark.parametrize("room", [100, ROOM])
def test_only_a_part_of_what_is_far_too_long_is_tokenized(room: int) -> None:
    vocabulary = Vocabulary(4)
    part = max(LONG, CHARACTERS * room)
    with pytest.raises(HTTPError, match="more than") as caught:
        PromptTokenizer(cast(Model, vocabulary), room).tokenize("a" * 8_000_000)
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
    assert vocabulary.asked == [part]


@pytest.mark.parametrize(("width", "size"), [(4, 4 * ROOM), (4, 16 * ROOM), (100, 100 * ROOM)])
def test_what_may_have_room_is_tokenized_whole(width: int, size: int) -> None:
    vocabulary = Vocabulary(width)
    found = PromptTokenizer(cast(Model, vocabulary), ROOM).tokenize("a" * size)
    assert len(found) == 1 + size // width
    assert vocabulary.asked[-1] == size
