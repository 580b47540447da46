"""Turn marks: what templates write around turns, which strangers' texts must not."""

from __future__ import annotations

import pytest
from families import SOURCES, template_of
from ggufs import CHATML

from runtime.chat_format.chat_template import NamedTemplate, from_text
from runtime.chat_format.turn_marks import SAMPLE, turn_marks


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("vicuna", {"USER:", "ASSISTANT:"}),
        ("zephyr", {"<|user|>", "<|assistant|>", "<|system|>"}),
        ("llama2", {"[INST]", "[/INST]"}),
        ("deepseek", {"### Instruction:", "### Response:"}),
        ("gemma", {"<start_of_turn>", "<end_of_turn>"}),
    ],
)
def test_marks_are_found_in_what_a_template_writes(name: str, marks: set[str]) -> None:
    assert marks <= turn_marks(NamedTemplate(name))


def test_a_jinja_template_has_them_too() -> None:
    assert {"<|im_start|>", "<|im_end|>"} == turn_marks(from_text(CHATML))


@pytest.mark.parametrize("name", SOURCES)
def test_every_family_has_some(name: str) -> None:
    found = turn_marks(template_of(name))

    assert found
    assert not any(SAMPLE in mark for mark in found)
