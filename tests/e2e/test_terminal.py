"""The chat on a real pseudo-terminal, read off an emulated screen."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import DEMO
from program import Program
from terminals import Terminal

PARIS = "The capital of France is Paris."


@pytest.fixture
def terminal(chat: Program) -> Iterator[Terminal]:
    opened = Terminal(chat.path)
    opened.shows("\n>")
    yield opened
    opened.child.close(force=True)


def test_a_conversation(terminal: Terminal) -> None:
    assert "/help" in terminal.text
    terminal.type("What is the capital of France?")
    assert terminal.shows(PARIS)

    terminal.type("My name is Ada.")
    terminal.shows("Ada.\n>")
    terminal.type("What is my name?")
    assert terminal.shows("Your name is Ada.")

    terminal.type("/stats")
    assert terminal.shows("cached")
    terminal.type("/exit")
    assert terminal.ended() == 0


def test_commands(terminal: Terminal) -> None:
    terminal.type("/help")
    assert terminal.shows("Ctrl-C stops an answer")
    terminal.type("/nonsense")
    assert terminal.shows("there is no command /nonsense")
    terminal.type("My name is Ada.")
    terminal.shows("Ada.\n>")
    terminal.type("/clear")
    assert terminal.shows("starts anew")
    terminal.type("/system Your name is Max.")
    assert terminal.shows("new system prompt")
    terminal.type("What is your name?")
    assert terminal.shows("My name is Max.")
    terminal.type("/undo")
    assert terminal.shows("taken back: What is your name?")
    terminal.type("/undo")
    assert terminal.shows("nothing to take back")


def test_control_c_stops_the_answer_and_not_the_program(chat: Program) -> None:
    terminal = Terminal(chat.path, "--ignore-eos")
    terminal.shows("\n>")
    terminal.type("Tell me a story.")
    terminal.shows("Once")
    terminal.child.sendintr()
    # Between an answer and the next prompt the keys are the system's: wait for the prompt.
    assert terminal.shows("stopped\n>")

    terminal.child.sendintr()
    assert terminal.shows("Ctrl-D or /exit leaves\n>")
    terminal.child.sendeof()
    assert terminal.ended() == 0


def test_no_storm_of_control_c_stops_the_chat(chat: Program) -> None:
    terminal = Terminal(chat.path, "-n", "1")
    terminal.shows("\n>")
    for number in range(5):
        terminal.type("Tell me a story.")
        for _ in range(40):
            terminal.child.sendintr()
            terminal.read(0.002)
        # A Ctrl-C makes the system forget the keys before it: repeat what may have been lost.
        end = time.monotonic() + 60
        while f"no command /alive{number}" not in terminal.text:
            assert time.monotonic() < end, f"it hangs:\n{terminal.text}"
            terminal.type(f"/alive{number}")
            terminal.read(0.2)
    terminal.type("/exit")
    assert terminal.ended() == 0


def test_several_lines_and_the_history(terminal: Terminal) -> None:
    terminal.type("What is the capital \\")
    terminal.type("of France?")
    terminal.shows("\n>")
    terminal.type("/undo")
    assert terminal.shows("taken back: What is the capital\nof France?")
    terminal.type('"""')
    terminal.type("What is the capital of Japan?")
    terminal.type('"""')
    assert terminal.shows("The capital of Japan is Tokyo.")

    terminal.type("/clear")
    terminal.shows("starts anew")
    terminal.type("What is the capital of France?")
    terminal.shows(PARIS)
    terminal.child.send("\x1b[A\x1b[A")  # twice up the history: past the question to /clear
    terminal.child.send("\x1b[B\r")  # and down again
    assert terminal.shows(PARIS, times=2)
    terminal.type("/exit")
    assert terminal.ended() == 0


def test_japanese_and_emoji(terminal: Terminal) -> None:
    terminal.type("Say hello in Japanese.")
    assert terminal.shows("こ")
    terminal.type("Send me a smile.")
    assert terminal.shows("😀")
    assert "\N{REPLACEMENT CHARACTER}" not in terminal.text


def test_colour_only_where_it_shows(chat: Program) -> None:
    coloured = Terminal(chat.path)
    coloured.shows("\n>")
    plain = Terminal(chat.path, NO_COLOR="1")
    plain.shows("\n>")
    forced = Terminal(chat.path, "-co", NO_COLOR="1")
    forced.shows("\n>")

    assert b"\x1b[2m" in coloured.raw
    assert b"\x1b[2m" not in plain.raw
    assert b"\x1b[2m" in forced.raw
    for terminal in (coloured, plain, forced):
        terminal.child.close(force=True)
    assert "\x1b" not in chat("hello").out


def test_a_full_context_drops_the_oldest_and_goes_on(chat: Program) -> None:
    terminal = Terminal(chat.path, "-c", "256", "-sys", "Your name is Max.", "-n", "30")
    terminal.shows("\n>")
    for number in range(12):
        terminal.type("What is the capital of France?")
        terminal.answers("Paris", number + 1)
    assert b"turns were dropped" in terminal.raw
    terminal.type("What is your name?")
    assert terminal.shows("My name is Max.")
    terminal.child.close(force=True)


def test_what_is_soon_done_shows_no_progress(forms: dict[str, Path]) -> None:
    terminal = Terminal(forms["zstd"], "What is the capital of France?")

    assert terminal.ended() == 0
    assert PARIS == terminal.text


SLOW = """
import os, sys, time
from runtime.host.progress_bar import progress
with progress("unpacking") as update:
    for done in range(16):
        update(done, 16)
        time.sleep(0.1)
        while done == 8 and not os.path.exists(sys.argv[1]):
            time.sleep(0.01)
print("done")
"""


def test_progress_is_shown_and_goes(tmp_path: Path) -> None:
    terminal = Terminal(Path(sys.executable), "-c", SLOW, str(tmp_path / "seen"))

    terminal.shows("unpacking  [")
    terminal.shows("50%")
    (tmp_path / "seen").touch()
    assert terminal.ended() == 0
    assert "done" == terminal.text


IMPATIENT = """
import sys
from runtime.host import progress_bar
progress_bar.PATIENCE_SECONDS = 0
from bundler.commands.main import run
sys.exit(run())
"""


def test_what_bundling_says_has_lines_of_its_own(stub: Path, tmp_path: Path) -> None:
    terminal = Terminal(
        Path(sys.executable), "-c", IMPATIENT, "bundle", str(DEMO), "-o", str(tmp_path / "chat"),
        "--stub", str(stub), "--compress", "max", "--no-check",
    )  # fmt: skip

    assert terminal.ended() == 0
    assert b"compressing 3.7 MB  [" in terminal.raw
    assert "[#" not in terminal.text
    assert any(line.startswith("compressing: ") for line in terminal.text.splitlines())


def test_a_server_says_where_it_is_and_how_to_end_it(chat: Program) -> None:
    terminal = Terminal(chat.path, "serve", "--port", "0", "-t", "1")
    terminal.shows("Ctrl-C ends it")
    address = terminal.text.split("listening on ")[1].split()[0]
    assert f" {address}/\n" in terminal.text
    assert f" {address}/v1\n" in terminal.text
    assert "all networks" not in terminal.text

    terminal.child.sendintr()
    assert terminal.ended() == 0
    assert terminal.raw.endswith(b"\r\n^C\r\n")


CODE = "def f(x):\n    return 1  # one"
GRAMMAR = "root ::= " + '"```python\\n{}\\n```\\nDone."'.format(CODE.replace("\n", "\\n"))


def test_code_is_shown_in_colours_and_can_be_copied(chat: Program) -> None:
    terminal = Terminal(chat.path, "--grammar", GRAMMAR)
    terminal.shows("\n>")
    terminal.type("hello")
    assert terminal.shows(f"python\n{CODE}\nDone.")

    rows = [line.rstrip() for line in terminal.screen.display]
    row = rows.index("def f(x):")
    colours = [terminal.screen.buffer[row][column].fg for column in (0, 4, 5)]
    assert ["magenta", "cyan", "default"] == colours
    assert "magenta" == terminal.screen.buffer[row + 1][4].fg
    terminal.child.close(force=True)


def test_code_is_plain_without_colours_and_in_a_pipe(chat: Program) -> None:
    written = f"```python\n{CODE}\n```\nDone."
    terminal = Terminal(chat.path, "--grammar", GRAMMAR, NO_COLOR="1")
    terminal.shows("\n>")
    terminal.type("hello")
    assert terminal.shows(written)
    row = [line.rstrip() for line in terminal.screen.display].index("def f(x):")
    assert "default" == terminal.screen.buffer[row][0].fg
    terminal.child.close(force=True)

    assert written == chat("hello", "--grammar", GRAMMAR).out.strip()
