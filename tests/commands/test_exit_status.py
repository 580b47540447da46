"""How both programs end when something is wrong: told in one way, and with an exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from program import Program

import bundler.commands.main
import runtime.commands.main
from runtime.commands.exit_status import exit_status_of
from runtime.host.interrupts import INTERRUPTED

WRONG = {
    "unknown option": (
        ("bundle", "--compres", "none"),
        "no such option '--compres'",
        "did you mean '--compress'?",
    ),
    "nothing like it": (
        ("bundle", "--zzz"),
        "no such option '--zzz'",
        "modelembed bundle --help shows what there is",
    ),
    "unknown command": (("bundel",), "no such command 'bundel'", "did you mean 'bundle'?"),
    "a command of the programs": (
        ("search", "diary", "bicycle"),
        "'search' is a command of the programs that modelembed makes",
        "ask the program itself: ./PROGRAM search",
    ),
    "missing argument": (
        ("verify",),
        "missing argument 'FILE'",
        "modelembed verify --help shows what there is",
    ),
    "missing value": (
        ("bundle", "x.gguf", "-o"),
        "option '-o' requires an argument",
        "--help shows what there is",
    ),
}
OWN_WRONG = {
    "unknown option": (
        ("--temprature", "1"),
        "no such option '--temprature'",
        "did you mean '--te",
    ),
    "wrong type": (
        ("-n", "many", "Hello"),
        "'--predict' is 'many', expected a whole number of at least -1",
        "--predict: maximum number of tokens to generate",
    ),
    "no fraction": (
        ("--temp", "abc", "Hello"),
        "'--temp' is 'abc', expected a number",
        "--temp: ",
    ),
    "no port": (
        ("serve", "--port", "abc"),
        "'--port' is 'abc', expected a whole number from 0 to 65535",
        "--port: ",
    ),
    "wrong choice": (("--color=red", "Hello"), "invalid value for '--color' / '-co'", " --help"),
    "one too many": (("info", "x"), "got unexpected extra argument (x)", " info --help shows"),
}


def wrong(program: Program, words: tuple[str, ...], problem: str, hint: str) -> None:
    done = program(*words)

    assert (2, "") == (done.code, done.out)
    said, _, cure = done.err.partition("\n\nhint: ")
    assert said.startswith(f"error: {problem}")
    assert hint in cure
    assert 3 == done.err.count("\n")


@pytest.mark.parametrize("case", WRONG)
def test_the_bundler_explains_a_wrong_command_line(modelembed: Program, case: str) -> None:
    wrong(modelembed, *WRONG[case])


@pytest.mark.parametrize("case", OWN_WRONG)
def test_a_made_program_explains_a_wrong_command_line(chat: Program, case: str) -> None:
    wrong(chat, *OWN_WRONG[case])


def test_a_command_of_a_program_is_shown_as_it_is_asked(modelembed: Program, chat: Program) -> None:
    done = modelembed("doctor", str(chat.path), "--no-verify")

    assert f"hint: ask that program: {chat.path} doctor --no-verify\n" in done.err


def test_no_command_shows_the_commands(modelembed: Program, chat: Program) -> None:
    for program, words in ((modelembed, ()), (chat, ("cache",))):
        done = program(*words)
        assert 2 == done.code
        assert "Commands:" in done.err
        assert "error" not in done.err


@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
def test_the_bundler_says_what_it_cannot_print(modelembed: Program, where: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f'"$0" --help {where}', str(modelembed.path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("error: what was to be printed cannot be written: ")
    assert 3 == done.stderr.count("\n")


def test_the_bundler_minds_no_reader_that_leaves(modelembed: Program) -> None:
    done = subprocess.run(
        ["bash", "-c", '"$0" --help | true; exit ${PIPESTATUS[0]}', str(modelembed.path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode in (0, 1)  # the reader may leave before or after
    assert "" == done.stderr


PRESSING = """
import builtins, signal, sys
imports = builtins.__import__

def pressing(name, *rest):
    if name == "click":
        signal.raise_signal(signal.SIGINT)
    return imports(name, *rest)

builtins.__import__ = pressing
from bundler.__main__ import main
sys.exit(main())
"""


def test_ctrl_c_while_the_bundler_starts_just_ends_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRESSING], capture_output=True, text=True, check=False, timeout=60
    )

    assert -signal.SIGINT == done.returncode
    assert "" == done.stderr


def test_what_nobody_foresaw_is_called_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise ValueError("seven")

    assert 1 == exit_status_of(work, verbose=False)
    said = capsys.readouterr().err
    assert said.startswith("error: something unexpected happened: ValueError: seven\n\nhint: ")
    with pytest.raises(ValueError, match="seven"):
        exit_status_of(work, verbose=True)


def commands(group: click.Group, *above: str) -> Iterator[list[str]]:
    """Yield the words of every command."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield [*above, name]


@pytest.mark.parametrize(
    "group", [bundler.commands.main.main, runtime.commands.main.main], ids=["bundler", "made"]
)
def test_every_command_takes_the_v_that_a_bug_asks_for(group: click.Group) -> None:
    for words in commands(group):
        for flag in ("-v", "--verbose"):
            assert 0 == group.main([*words, flag, "--help"], standalone_mode=False)


def test_v_changes_nothing_where_nothing_fails(modelembed: Program, chat: Program) -> None:
    assert chat("info").out == chat("info", "-v").out == modelembed("inspect", str(chat.path)).out
    assert 0 == modelembed("inspect", str(chat.path), "--verbose").code


def test_an_interrupt_ends_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise KeyboardInterrupt

    for words, said in (("", "\n"), ("interrupted; all is well", "\ninterrupted; all is well\n")):
        assert INTERRUPTED == exit_status_of(work, verbose=False, interrupted=words)
        assert said == capsys.readouterr().err


def test_memory_that_runs_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise MemoryError

    assert 1 == exit_status_of(work, verbose=False)
    assert capsys.readouterr().err.startswith("error: the memory ran out\n\nhint: ")
