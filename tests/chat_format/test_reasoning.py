"""Thoughts and answers: told apart however the text is cut."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime.chat_format.reasoning import Markers, Part, ReasoningSplitter

from runtime.chat_format import chat_template, reasoning
from runtime.terminal.answer_view import AnswerView, Style

THINK = Markers("<think>", "</think>")
QWEN = (
    "{% for m in messages %}{{ m.content }}{% endfor %}<assistant>"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}"
)


def parts(*pieces: str, markers: Markers | None = THINK, prompt: str = "") -> list[Part]:
    """Return what the pieces are, neighbours of one kind joined."""
    thoughts = ReasoningSplitter(markers, prompt)
    found = [part for piece in pieces for part in thoughts.feed(piece)] + [*thoughts.rest()]
    joined: list[Part] = []
    for part in found:
        if joined and joined[-1].thought == part.thought:
            part = Part(joined.pop().text + part.text, part.thought)
        joined.append(part)
    return joined


def test_thought_then_answer() -> None:
    assert [Part("hm", True), Part("\n\n4", False)] == parts("<think>hm</think>\n\n4")
    assert [Part("hm", True), Part("4", False)] == parts("<th", "ink>h", "m</", "think>", "4")
    assert [Part("4", False)] == parts("4")


def test_thought_that_the_template_began() -> None:
    assert [Part("hm", True), Part("4", False)] == parts("hm</think>4", prompt="<a><think>\n")
    assert [Part("4", False)] == parts("4", prompt="<think>\n\n</think>\n\n")


def test_what_only_looks_like_a_marker_is_text() -> None:
    assert [Part("a <thin b", False)] == parts("a <th", "in b")
    assert [Part("<thi", False)] == parts("<thi")
    assert [Part("<think>x</think>", False)] == parts("<think>x</think>", markers=None)


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "<", "th"])), st.integers(1, 9))
def test_pieces_do_not_matter(words: list[str], size: int) -> None:
    text = "".join(words)
    assert parts(text) == parts(*(text[i : i + size] for i in range(0, len(text), size)))


def test_markers_are_the_templates_own() -> None:
    assert THINK == reasoning.markers(QWEN)
    assert Markers("[THINK]", "[/THINK]") == reasoning.markers("… [THINK] …")
    assert reasoning.markers("{{ messages }}") is None
    assert reasoning.switchable(QWEN)
    assert not reasoning.switchable("<think>")


@pytest.mark.parametrize(("think", "end"), [(True, "<assistant>"), (False, "</think>\n\n")])
def test_the_template_is_told_not_to_think(think: bool, end: str) -> None:
    made = chat_template.from_text(QWEN, think=think)

    assert made.render([{"role": "user", "content": "2+2?"}]).endswith(end)


def shown(*pieces: str, colour: bool) -> str:
    out = io.StringIO()
    screen = AnswerView(out, Style(colour), markers=THINK)
    for piece in pieces:
        screen.write(piece)
    screen.close()
    return out.getvalue()


def test_thoughts_are_dimmed() -> None:
    assert "\x1b[2mhm\x1b[0m\n\n4" == shown("<think>hm</think>", "\n\n", "4", colour=True)
    assert "4\n\n5" == shown("4\n", "\n5", colour=True)


def test_without_colour_nothing_is_taken_away() -> None:
    assert "<think>hm</think>\n4" == shown("<think>hm</think>\n4", colour=False)
