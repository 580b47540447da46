"""Answers divided into reasoning, content and calls, however they are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.chat_format import chat_template
from runtime.chat_format.answer_reader import AnswerReader, Delta

THINKER = (
    "{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>"
    "{% if not enable_thinking %}<think></think>{% endif %}{% endif %}"
)


def reader(**inputs: object) -> AnswerReader:
    asked = chat_template.TemplateInputs(messages=[{"role": "user", "content": "?"}], **inputs)  # type: ignore[arg-type]
    return chat_template.from_text(THINKER).apply(asked).reader()


def read(one: AnswerReader, *pieces: str) -> Delta:
    whole = Delta()
    for piece in pieces:
        delta = one.feed(piece, last=False)
        whole.reasoning += delta.reasoning
        whole.content += delta.content
    delta = one.feed("", last=True)
    return Delta(whole.reasoning + delta.reasoning, whole.content + delta.content)


def test_reasoning_then_content() -> None:
    assert Delta("hm", "4") == read(reader(), "<think>hm</think>4")
    assert Delta("hm", "4") == read(reader(), "<th", "ink>h", "m</", "think>", "4")
    assert Delta("", "4") == read(reader(), "4")
    assert Delta("hm", "") == read(reader(), "<think>hm")


def test_reasoning_may_stay_in_the_content() -> None:
    assert Delta("", "<think>hm</think>4") == read(
        reader(reasoning_format="none"), "<think>hm</think>4"
    )


def test_the_template_is_told_not_to_think() -> None:
    asked = chat_template.TemplateInputs(
        messages=[{"role": "user", "content": "?"}], enable_thinking=False
    )
    found = chat_template.from_text(THINKER).apply(asked)

    assert found.text.endswith("<think></think>")
    assert Delta("", "4") == read(found.reader(), "4")


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "<", "th"])), st.integers(1, 9))
def test_pieces_do_not_matter(words: list[str], size: int) -> None:
    text = "".join(words)
    pieces = (text[i : i + size] for i in range(0, len(text), size))

    assert read(reader(), text) == read(reader(), *pieces)
