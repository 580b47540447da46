"""An answer on the screen: reasoning set apart from what follows."""

from __future__ import annotations

import io

from runtime.chat_format.answer_reader import Delta
from runtime.terminal.answer_view import AnswerView, Style


def shown(*deltas: Delta, colour: bool) -> str:
    out = io.StringIO()
    view = AnswerView(out, Style(colour))
    for delta in deltas:
        view.write(delta)
    view.close()
    return out.getvalue()


def test_reasoning_is_dimmed() -> None:
    deltas = [Delta("hm"), Delta(content="\n\n"), Delta(content="4")]

    assert "\x1b[2mhm\x1b[0m\n\n4" == shown(*deltas, colour=True)
    assert "4\n\n5" == shown(Delta(content="4\n"), Delta(content="\n5"), colour=True)


def test_without_colour_tags_set_it_apart() -> None:
    deltas = [Delta("\nh"), Delta("m\n"), Delta("\nso\n"), Delta(content="4")]

    assert "<think>\nhm\n\nso\n</think>\n\n4" == shown(*deltas, colour=False)


def test_reasoning_alone_is_closed() -> None:
    assert "<think>\nhm\n</think>\n\n" == shown(Delta("hm"), colour=False)
    assert "" == shown(Delta("\n"), colour=False)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_control_characters_are_visible_on_a_terminal_only() -> None:
    text = "a\x1b]0;x\x07b\r\n\tc\x9b31m\x7f 👩‍💻"
    for out, seen in (
        (Screen(), "a␛]0;x␇b\n\tc\ufffd31m␡ 👩‍💻"),
        (io.StringIO(), text),
    ):
        view = AnswerView(out, Style(False))
        view.write(Delta(content=text))
        view.close()
        assert seen == out.getvalue()
