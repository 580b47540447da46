"""The chat, as whole transcripts: what is typed stands behind the prompts."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeEngine, FakeTemplate, FakeTokenizer
from findings import grounder, passage

from runtime.dialogue.answerer import LocalAnswerer
from runtime.dialogue.conversation import Conversation
from runtime.errors import ModelError
from runtime.host import interrupts
from runtime.options.registry import Options
from runtime.search.passages import Passage
from runtime.terminal import line_reader
from runtime.terminal.attachments import Attachments
from runtime.terminal.repl import Repl, Style

CTRL_C = KeyboardInterrupt()
THINKER = (
    "{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>"
    "{% if not enable_thinking %}<think></think>{% endif %}{% endif %}"
)
"""A chat template whose model reasons between <think> and </think>."""


class Terminal:
    """Types the given lines, and keeps a record of everything on the screen."""

    def __init__(self, lines: Iterable[str | BaseException]) -> None:
        self.lines = iter(lines)
        self.screen = io.StringIO()

    def read_line(self, prompt: str) -> str:
        self.screen.write(prompt)
        line = next(self.lines, EOFError())
        if isinstance(line, BaseException):
            self.screen.write("\n")
            raise line
        self.screen.write(f"{line}\n")
        return line


def talk(
    lines: Iterable[str | BaseException],
    engine: FakeEngine,
    *,
    template: str = "",
    system: str = "",
    first: str = "",
    n_predict: int = -1,
    colour: bool = False,
    show_stats: bool = False,
    found: Mapping[str, Sequence[Passage]] | None = None,
    **more: Any,
) -> str:
    """Return the transcript of a chat, about documents in which that is `found`."""
    terminal = Terminal(lines)
    options = Options(system=system, n_predict=n_predict)
    answerer = LocalAnswerer(engine, FakeTokenizer(), FakeTemplate(source=template))
    finder = None if found is None else grounder(found)
    conversation = Conversation(answerer, options, grounder=finder)
    if finder:
        more["library"] = finder.library
    Repl(
        conversation,
        read_line=terminal.read_line,
        out=terminal.screen,
        style=Style(colour),
        show_stats=show_stats,
        **more,
    ).run(first)
    return terminal.screen.getvalue()


def test_questions_and_answers() -> None:
    transcript = talk(["2+2?", "", "  ", "3+3?"], FakeEngine(["fo", "ur"], ["six"]))

    assert "> 2+2?\nfour\n> \n>   \n> 3+3?\nsix\n> \n" == transcript


def test_first_question_may_come_from_the_command_line() -> None:
    assert "four\n> /exit\n" == talk(["/exit"], FakeEngine(["four"]), first="2+2?")


@pytest.mark.parametrize("command", ["/exit", "/quit", "/bye", "/exit  ", "/exit now"])
def test_leaving(command: str) -> None:
    assert f"> {command}\n" == talk([command, "never typed"], FakeEngine())


def test_clear_undo_and_regen() -> None:
    engine = FakeEngine(["one"], ["eins"], ["two"], ["three"])
    transcript = talk(["1?", "/regen", "/undo", "/undo", "2?", "/clear", "3?"], engine)

    assert (
        "> 1?\none\n"
        "> /regen\neins\n"
        "> /undo\ntaken back: 1?\n"
        "> /undo\nthere is nothing to take back\n"
        "> 2?\ntwo\n"
        "> /clear\nthe conversation starts anew\n"
        "> 3?\nthree\n"
        "> \n" == transcript
    )
    assert ["user: 2?\nassistant: ", "user: 3?\nassistant: "] == engine.prompts[2:]


def test_system_prompt_is_shown_and_replaced() -> None:
    engine = FakeEngine(["one"], ["two"])
    transcript = talk(
        ["/system", "/system  Be brief. ", "/system", "1?"], engine, system="Be long."
    )

    assert (
        "> /system\nBe long.\n"
        "> /system  Be brief. \nnew system prompt; the conversation starts anew\n"
        "> /system\nBe brief.\n"
        "> 1?\none\n"
        "> \n" == transcript
    )
    assert ["system: Be brief.\nuser: 1?\nassistant: "] == engine.prompts
    assert "> /system\nthere is no system prompt\n> \n" == talk(["/system"], FakeEngine())


def test_help_lists_every_command() -> None:
    transcript = talk(["/help"], FakeEngine(), store=FakeKeeper())

    assert transcript.replace("/help", "/?", 1) == talk(["/?"], FakeEngine(), store=FakeKeeper())
    for command in (
        "/help",
        "/stats",
        "/clear",
        "/system",
        "/regen",
        "/undo",
        "/save",
        "/load",
        "/exit,",
        "/exit, /quit",
    ):
        assert f"\n{command} " in transcript


class FakeLora:
    """Adapters by name."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def use(self, text: str) -> None:
        raise NotImplementedError

    def describe(self) -> str:
        return ", ".join(self.names)


def test_help_lists_only_what_there_is() -> None:
    missing = ("/save", "/load", "/lora", "/image", "/audio", "/sources", "/find")
    alone = talk(["/help"], FakeEngine())
    assert not [command for command in missing if command in alone]

    blind = Attachments(sees=False, hears=False)
    assert "/image" not in talk(["/help"], FakeEngine(), attachments=blind)
    seeing = talk(
        ["/help"], FakeEngine(), store=FakeKeeper(), found=FOUND, lora=FakeLora("pirate"),
        attachments=Attachments(sees=True, hears=False),
    )  # fmt: skip
    listed = [line.split()[0] for line in seeing.splitlines() if line.startswith("/")]
    assert {*missing} - {*listed} == {"/audio"}
    assert "/lora NAME=X" in seeing
    assert "/lora FILE=X" in talk(["/help"], FakeEngine(), lora=FakeLora())


def test_a_path_alone_is_no_command(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Dear diary")
    transcript = talk(
        [f"{tmp_path}/notes.txt", f"{tmp_path}/none.png", "/tmp/none", "/hlep"],
        FakeEngine(), attachments=Attachments(sees=False, hears=False),
    )  # fmt: skip

    assert (
        f"error: {tmp_path}/notes.txt: a text was found that begins with 'Dear dia'" in transcript
    )
    assert f"error: there is no file {tmp_path}/none.png\n" in transcript
    assert "there is no command /tmp/none; " in transcript
    assert "there is no command /hlep; " in transcript


def test_statistics() -> None:
    nothing = "no answer yet · context 0 of 4096"
    assert f"> /stats\n{nothing}\n> \n" == talk(["/stats"], FakeEngine())

    line = (
        "prompt 22 tokens, 22.0 tokens/s · answer 4 tokens · first after 1.00 s · "
        "context 26 of 4096"
    )

    assert f"> 2+2?\nfour\n> /stats\n{line}\n> \n" == talk(
        ["2+2?", "/stats"], FakeEngine(["fo", "ur"])
    )
    assert f"> 2+2?\nfour\n{line}\n> \n" == talk(["2+2?"], FakeEngine(["four"]), show_stats=True)


def test_wrong_commands_are_explained() -> None:
    assert (
        "> /hlep\nthere is no command /hlep; /help lists them\n"
        "> /\nthere is no command /; /help lists them\n"
        "> /regen\nerror: there is nothing to answer again\n\nhint: ask something first\n"
        "> \n" == talk(["/hlep", "/", "/regen"], FakeEngine())
    )


def asked(*lines: str | BaseException) -> list[str]:
    """Return the questions that typed lines amount to."""
    engine = FakeEngine(*[["ok"]] * 5)
    transcript = talk(lines, engine)
    assert transcript.endswith("> \n")
    return [
        prompt.split("user: ")[-1].removesuffix("\nassistant: ").replace("\n", "|")
        for prompt in engine.prompts
    ]


def test_slash_for_the_model() -> None:
    assert ["/etc/passwd?"] == asked("//etc/passwd?")
    assert ["/help"] == asked(" //help")
    assert [] == asked(" /help")  # a slip of the finger, no question


def test_several_lines() -> None:
    assert ["a|b|c"] == asked("a\\", "b\\", "c")
    assert ["a|b"] == asked('"""a', 'b"""')
    assert ["a|  b|/exit|c\\"] == asked('"""', "a", "  b", "/exit", "c\\", '"""')
    assert ["one line"] == asked('"""one line"""')
    assert ["/system|x"] == asked("/system\\", "x")
    assert ['say """ now'] == asked('say """ now')
    assert [] == asked('""""""', "\\", "")


def test_prompt_of_a_continued_line() -> None:
    assert "> a\\\n… b\nok\n> \n" == talk(["a\\", "b"], FakeEngine(["ok"]))


def test_end_of_input_within_several_lines_loses_nothing() -> None:
    assert ["a"] == asked("a\\")
    assert ["a|b"] == asked('"""a', "b")


def test_ctrl_c_at_the_prompt_says_how_to_leave() -> None:
    assert "> \nCtrl-D or /exit leaves\n> 2+2?\nfour\n> \n" == talk(
        [CTRL_C, "2+2?"], FakeEngine(["four"])
    )


def test_ctrl_c_gives_up_a_continued_line() -> None:
    assert ["c"] == asked("a\\", CTRL_C, "c")
    assert ["c"] == asked('"""a', CTRL_C, "c")


def test_ctrl_c_stops_the_answer_and_not_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "DOUBLE_SECONDS", 60.0)

    def pressed() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    # The launcher passes on the signal that the terminal has sent already: it comes twice.
    engine = FakeEngine(["fo", pressed, pressed, "never"], ["six"])
    before = signal.getsignal(signal.SIGINT)
    try:
        assert "> 2+2?\nfo\nstopped\n> 3+3?\nsix\n> \n" == talk(["2+2?", "3+3?"], engine)
        monkeypatch.setattr(interrupts, "DOUBLE_SECONDS", 0.0)  # that time is over
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert before == signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "user: 2+2?\nassistant: fo\nuser: 3+3?\nassistant: " == engine.prompts[1]


def test_answer_cut_by_the_limit() -> None:
    assert "> 2+2?\nfo\ncut after 2 tokens (-n)\n> \n" == talk(
        ["2+2?"], FakeEngine("four"), n_predict=2
    )


def test_failure_of_the_engine_is_told_on_a_line_of_its_own() -> None:
    failure = ModelError("the engine failed", hint="try a smaller context with -c")
    told = "error: the engine failed\n\nhint: try a smaller context with -c\n"

    assert f"> 1?\n{told}> 2?\ntwo\n> \n" == talk(["1?", "2?"], FakeEngine([failure], ["two"]))
    assert f"> 1?\non\n{told}> 2?\ntwo\n> \n" == talk(
        ["1?", "2?"], FakeEngine(["on", failure], ["two"])
    )


def test_colour_marks_prompts_and_remarks_but_no_answer() -> None:
    transcript = talk(["1?\\", "2?", "/undo"], FakeEngine(["one"]), colour=True)

    assert (
        "\x1b[1;32m> \x1b[0m1?\\\n\x1b[32m… \x1b[0m2?\none\n"
        "\x1b[1;32m> \x1b[0m/undo\n\x1b[2mtaken back: 1?\n2?\x1b[0m\n"
        "\x1b[1;32m> \x1b[0m\n" == transcript
    )


def test_thoughts_and_markdown() -> None:
    engine = FakeEngine(["<think>h", "m</think>", "\n", "**4**"], ["5 * 5"])
    transcript = talk(["2+2?", "5?"], engine, template=THINKER, colour=True, markdown=True)

    prompt = "\x1b[1;32m> \x1b[0m"
    assert (
        f"{prompt}2+2?\n\x1b[2mh\x1b[0m\x1b[2mm\x1b[0m\n\n\x1b[1m4\x1b[0m\n"
        f"{prompt}5?\n5 * 5\n{prompt}\n" == transcript
    )


class FakeKeeper:
    """Keep names; refuse one."""

    def save(self, name: str) -> str:
        if name == "no":
            raise ModelError("the disk is full", hint="free some")
        return f"saved to {name}"

    def load(self, name: str) -> str:
        return f"opened {name}"


def test_saving_and_opening() -> None:
    assert (
        "> /save a b\nsaved to a b\n"
        "> /load a\nopened a\n"
        "> /save no\nerror: the disk is full\n\nhint: free some\n"
        "> /load\nerror: a name is missing\n\nhint: for example /save holiday, /load holiday\n"
        "> \n"
        == talk(["/save a b", "/load a", "/save no", "/load"], FakeEngine(), store=FakeKeeper())
    )
    assert "there is no command /save" in talk(["/save a"], FakeEngine())


def test_what_was_opened_shows_where_it_stood() -> None:
    class Loading(FakeKeeper):
        def load(self, name: str) -> str:
            conversation.turns[:] = [
                {"role": ("user", "assistant")[i % 2], "content": content}
                for i, content in enumerate(("1?", "one", "2?", "**two**"))
            ]
            return super().load(name)

    terminal = Terminal(["/load a"])
    answerer = LocalAnswerer(FakeEngine(), FakeTokenizer(), FakeTemplate())
    conversation = Conversation(answerer, Options())
    Repl(
        conversation, read_line=terminal.read_line, out=terminal.screen, style=Style(True),
        store=Loading(), markdown=True,
    ).run()  # fmt: skip

    prompt = "\x1b[1;32m> \x1b[0m"
    assert (
        f"{prompt}/load a\n\x1b[2mopened a\x1b[0m\n"
        "\x1b[2m> 2?\x1b[0m\n\x1b[1mtwo\x1b[0m\n"
        f"{prompt}\n" == terminal.screen.getvalue()
    )


def test_lines_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\r\ntwo\n\nthree"))
    read = line_reader.reader()

    assert ["one", "two", "", "three"] == [read("> ") for _ in range(4)]
    with pytest.raises(EOFError):
        read("> ")


FOUND = {
    "Rain?": [
        passage("It rained.\nA lot.", "may.md", heading="May", date="2024-05-03"),
        passage("\x1b[2JRain falls.", "b\x1b]0;title\x07.pdf", page=7),
    ]
}


def test_the_sources_of_an_answer_stand_below_it() -> None:
    engine = FakeEngine(["In May [1][8]."], ["Who knows."])

    transcript = talk(["Rain?", "/regen"], engine, found=FOUND)

    assert (
        "> Rain?\n"
        "In May [1].\n"
        "sources:\n"
        "[1] may.md · May · 2024-05-03\n"
        "1 citation of passages that there are not was removed\n"
        "> /regen\n"
        "Who knows.\n"
        "the answer cites none of the passages that it was to be made from:\n"
        "[1] may.md · May · 2024-05-03\n"
        "[2] b ]0;title .pdf · page 7\n"
        "> \n"
    ) == transcript


def test_passages_are_shown_and_searched_for() -> None:
    lines = ["/sources", "Rain?", "/sources", "/find Rain?", "/find", "/find Hail?"]
    shown = (
        "[1] may.md · May · 2024-05-03\n    It rained.\n    A lot.\n\n"
        "[2] b ]0;title .pdf · page 7\n    ␛[2JRain falls.\n"
    )

    transcript = talk(lines, FakeEngine(["Yes [2]."]), found=FOUND)

    assert (
        "> /sources\nthere is no answer from the documents yet\n"
        "> Rain?\nYes [2].\nsources:\n[2] b ]0;title .pdf · page 7\n"
        f"> /sources\n{shown}> /find Rain?\n{shown}"
        "> /find\nerror: words are missing\n\nhint: for example /find rain after:2024-05\n"
        "> /find Hail?\nnothing was found\n> \n"
    ) == transcript


def test_nothing_found_has_no_sources() -> None:
    transcript = talk(["Hail?"], FakeEngine(), found=FOUND)

    assert "> Hail?\nI found nothing about this in the documents.\n> \n" == transcript


def test_without_documents_there_is_nothing_to_find() -> None:
    transcript = talk(["/find rain"], FakeEngine())

    assert "there is no command /find" in transcript
